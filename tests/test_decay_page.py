"""Every number of the table on the page about weight decay is one of the committed document."""

import re

import pytest

from spectral_edge.store import Claims
from support.pages import ROOT

TASKS = ("add", "sub", "mul", "x2_y2")


@pytest.fixture(scope="module")
def document():
    return Claims.read(ROOT / "results" / "decision" / "claims.json")


@pytest.fixture(scope="module")
def rows():
    """[(label, cells)] of the table."""
    lines = (ROOT / "docs" / "decay.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [(label, values) for label, *values in cells if label]


def curve(document, task, quantity):
    return next(c for c in document.curves if (c.task, c.quantity) == (task, quantity))


def interval(document, task, statistic, direction, null="isotropic"):
    part = next(
        p for p in document.parts if (p.task, p.statistic, p.direction, p.null) == (task, statistic, direction, null)
    )
    assert part.n == 30
    return f"{part.effect:.3f} [{part.low:.3f}, {part.high:.3f}]".replace("-", "−")


def fall(document, task, quantity):
    median = curve(document, task, quantity).median
    return f"{median[0] / min(median):.2g}×"


def test_every_row_is_that_of_the_document(document, rows):
    share, f = "variance_share:pc1", "concentration"
    expected = [
        lambda t: f"{curve(document, t, 'cosine_theta').median[-1]:.2f}",
        lambda t: f"{curve(document, t, 'gradient_share_v1').median[-1]:.2f}",
        *(lambda t, q=q: fall(document, t, q) for q in ("g23", "g23_gradient", "g23_decay")),
        *(lambda t, d=d: interval(document, t, f, d) for d in ("v1", "decay1")),
        *(lambda t, d=d: interval(document, t, share, d) for d in ("v1", "v1-theta", "theta", "gradient1", "decay1")),
        lambda t: interval(document, t, share, "v1", "weights"),
    ]
    assert len(rows) == len(expected)
    for (label, cells), number in zip(rows, expected, strict=True):
        assert cells == [number(task) for task in TASKS], label


def test_what_the_text_says_of_intervals_is_so(document):
    def low(task, statistic, direction, null="isotropic"):
        return float(re.search(r"\[(.*?),", interval(document, task, statistic, direction, null))[1].replace("−", "-"))

    assert [task for task in TASKS if low(task, "concentration", "v1") > 0] == ["mul", "x2_y2"]
    assert not [task for task in TASKS if low(task, "concentration", "decay1") > 0]
    beyond = [task for task in TASKS if low(task, "variance_share:pc1", "v1", "weights") > 0]
    assert beyond == ["sub", "x2_y2"]
    for task in TASKS[:3]:
        early = curve(document, task, "cosine_theta")
        at = dict(zip(early.steps_before_stop, early.median, strict=True))
        assert max(value for step, value in at.items() if -900 <= step <= -500) < 0.2
