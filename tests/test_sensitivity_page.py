"""Every number of the page about settings and rounding is one of the committed results."""

from collections import Counter

import numpy as np
import polars
import pytest
from scipy import stats

from spectral_edge.replication.claims import QUESTIONS
from spectral_edge.replication.decision.answers import rows_of
from spectral_edge.store import Claims
from support.pages import ROOT

RESULTS = ROOT / "results" / "decision"
PAGE = ROOT / "docs" / "sensitivity.md"
ASKED = ("C3", "C4", "C6", "C7", "C8", "C9")
CHECKPOINTS = ("stop", "transition")


@pytest.fixture(scope="module")
def document():
    return Claims.read(RESULTS / "claims.json")


@pytest.fixture(scope="module")
def tables():
    """{first heading: [cells of a row]} of the page."""
    found, current = {}, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            current = None
        elif current is None:
            current = found.setdefault((cells[0], cells[1]), [])
        elif not set(line) <= set("|- "):
            current.append(cells)
    return found


def answers(document, claim, task, checkpoint):
    own = [e for e in document.sensitivity if (e.claim, e.task, e.checkpoint) == (claim, task, checkpoint)]
    assert {e.n for e in own} == {10}
    return own


def test_the_counts_of_answers_are_those_of_the_document(document, tables):
    expected = []
    for question in [q for q in QUESTIONS if q.claim in ASKED]:
        cells = [f"{question.claim}, {question.task}"]
        for checkpoint in CHECKPOINTS:
            counts = Counter(e.answer for e in answers(document, question.claim, question.task, checkpoint))
            cells.append(" / ".join(str(counts[answer]) for answer in ("yes", "no", "undecided")))
        expected.append(cells)
    assert tables["claim", "at the stop"] == expected


def test_the_answers_to_c4_by_stride_are_those_of_the_document(document, tables):
    expected = []
    for stride in (1, 10, 100):
        cells = [str(stride)]
        for checkpoint in CHECKPOINTS:
            counts = Counter(e.answer for e in answers(document, "C4", "add", checkpoint) if e.stride == stride)
            cells.append(" / ".join(str(counts[answer]) for answer in ("yes", "no", "undecided")))
        expected.append(cells)
    assert tables["stride", "C4 at the stop"] == expected


def test_the_share_of_rounding_is_that_of_the_copies(tables):
    """Variance within seeds over variance within and between, of ten seeds with three copies each."""
    rows = polars.concat(
        [polars.read_parquet(RESULTS / f"{arm}.parquet") for arm in ("seeds", "copies")], how="diagonal_relaxed"
    ).filter(polars.col("seed") <= 1010, null="isotropic")
    expected, lows = [], []
    for question in [q for q in QUESTIONS if q.claim in ASKED]:
        own = rows_of(question, rows).group_by("seed", "copy").agg(polars.col("measured").mean()).sort("seed", "copy")
        values = own.pivot(on="copy", index="seed", values="measured").drop("seed").to_numpy()
        assert values.shape == (10, 3)
        within = values.var(axis=1, ddof=1).mean()
        between = max(0.0, values.mean(axis=1).var(ddof=1) - within / 3)
        digits = 1 if question.claim == "C4" else 3
        numbers = [f"{number:.{digits}f}" for number in (values.mean(), np.sqrt(within), np.sqrt(between))]
        # F = B/W over its quantiles with 9 and 20 degrees of freedom bounds their ratio; rounding's share is 3/(F + 2).
        ratio = 3 * values.mean(axis=1).var(ddof=1) / within
        low, high = sorted(min(1.0, 3 / (ratio / f + 2)) for f in stats.f.ppf([0.025, 0.975], 9, 20))
        share = [f"{100 * within / (within + between):.0f} %", f"{100 * low:.0f} to {100 * high:.0f} %"]
        expected.append([f"{question.claim}, {question.task}", *numbers, *share])
        lows.append(low)
    assert tables["claim", "mean"] == expected
    assert sum(low >= 1 / 3 for low in lows) == 5
    assert high <= 1 / 3, "C9 is the last"
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert "In five of nine numbers at least a third" in text


def test_the_errors_of_the_quotient_are_those_of_the_document(document, tables):
    expected = []
    for epsilon in (0.0005, 0.005, 0.05):
        own = [e for e in document.derivative_errors if e.relative_epsilon == epsilon and e.checkpoint == "stop"]
        f = [e for e in own if "concentration" in e.statistic]
        (peaked,) = [e for e in own if e.statistic == "peakedness:script"]
        assert len(f) == 4
        assert {e.n for e in own} == {10}
        expected.append(
            [
                f"{epsilon:g}",
                f"{max(e.median for e in f):.4f}", f"{max(e.largest for e in f):.4f}",
                f"{peaked.median:.2f}", f"{peaked.largest:.2f}",
            ]
        )  # fmt: skip
    assert tables["ε / ‖θ‖", "F, median"] == expected
