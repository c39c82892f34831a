"""The heatmap has one panel a claim and task, a cell where there is a row, and a frame around the main setting."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from report.synthetic import fake_row
from spectral_edge.report.sensitivity import draw_sensitivity
from spectral_edge.store.results import Claims, NullSummary

MAIN = {"stride": 100, "window": 20, "centered": True}


def null(p):
    return NullSummary(
        kind="random_directions", n=100, mean=0.1, std=0.05, quantile95=0.2, alternative="greater", pvalue=p
    )


def cell(p, **changes):
    values = {"statistic": "sensitivity:concentration", "direction": "mean(v1..v3)", "null": null(p)}
    return fake_row("add", "a", **(values | changes))


def claims(rows):
    return Claims(profile="test", environment={}, wall_seconds=1.0, analysis=MAIN, runs=[], rows=rows, verdicts=[])


def panels(drawing):
    return [axes for axes in drawing.figure.axes if axes.images and axes.get_title(loc="left")]


@pytest.fixture(scope="module")
def drawing():
    rows = [
        cell(0.5),
        cell(0.004, window=5),
        cell(0.00001, checkpoint="transition", stride=1, window=5, centered=False),
        cell(0.04, method="finite_difference", relative_epsilon=0.05),
        cell(0.9, claim="C10"),
        fake_row("add", "a", statistic="verdict_stability:concentration", direction="mean(v1..v3)", measured=0.25),
        fake_row("add", "a"),  # a row of another study
    ]
    return draw_sensitivity(claims(rows))


def test_each_row_is_one_cell_in_its_place(drawing):
    first, second = panels(drawing)
    shown = first.images[0].get_array()
    # lines: transition 1 n, stop 100 c, step; columns: 5, 20
    assert shown.shape == (3, 2)
    expected = [[3, np.nan], [-np.log10(0.004), -np.log10(0.5)], [-np.log10(0.04), np.nan]]
    np.testing.assert_allclose(np.ma.filled(shown, np.nan), expected, rtol=1e-6)
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["transition 1 n", "stop 100 c", "step 0.05"]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["5", "20"]
    assert {text.get_text(): text.get_weight() for text in first.texts} == {
        "<.001": "bold",
        ".004": "bold",
        ".50": "normal",
        ".04": "bold",
    }
    assert np.isfinite(np.ma.filled(second.images[0].get_array(), np.nan)).sum() == 1


def test_the_main_setting_is_framed(drawing):
    first = panels(drawing)[0]
    frames = [patch for patch in first.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    assert [to_hex(frame.get_edgecolor()).upper() for frame in frames] == ["#D55E00"]
    assert (frames[0].get_x() + 0.46, frames[0].get_y() + 0.46) == pytest.approx((1, 1))


def test_titles_name_claim_statistic_and_stability(drawing):
    titles = [axes.get_title(loc="left") for axes in panels(drawing)]
    assert titles == ["C6, add: concentration, 25%\nmean(v1..v3)", "C10, add: concentration\nmean(v1..v3)"]
    assert drawing.sources[0].startswith("C6, add (a + b): concentration of mean(v1..v3)")
    assert "seeds [42]" in drawing.sources[0]


def test_without_rows_there_is_a_note_and_no_figure():
    empty = draw_sensitivity(claims([fake_row("add", "a")]))
    assert empty.figure is None
    assert empty.notes == ("no stored rows of the sensitivity study",)
