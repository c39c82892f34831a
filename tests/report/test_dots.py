"""The figure of a claim: every value, interval, null and published number is where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from spectral_edge.report.dots import draw_dots, is_beyond
from spectral_edge.report.lines import lines_of
from spectral_edge.store.results import NullSummary
from support.many_seeds import SEEDS, claim_rows, over_seeds
from support.synthetic import fake_row

NULL = {"kind": "random_directions", "n": 200, "mean": 0.1, "std": 0.01, "quantile95": 0.25, "alternative": "greater"}
VALUES = dict(zip(SEEDS, (0.31, 0.35, 0.42), strict=True))


def null(pvalue):
    return NullSummary(**NULL, pvalue=pvalue)


def rows(**changes):
    single = [
        fake_row("add", f"r{seed}", seed=seed, measured=value, null=null(0.2), **changes)
        for seed, value in VALUES.items()
    ]
    return [over_seeds(single, 0.001), *single]


def axes_of(drawing):
    return [axes for axes in drawing.figure.axes if axes.get_xlabel()]


def points(axes, marker):
    return sorted(
        (float(x), float(y))
        for line in axes.get_lines()
        if line.get_marker() == marker
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()), strict=True)
    )


def test_a_line_has_its_seeds_mean_interval_null_and_published_value():
    found = rows()
    found[1] = found[1].model_copy(update={"published": 0.33})
    (axes,) = axes_of(draw_dots("C6", lines_of(found)))
    assert points(axes, "o") == [(0.31, 0.0), (0.35, 0.0), (0.42, 0.0)]
    assert points(axes, "D") == [(pytest.approx(0.36), 0.0)]
    assert points(axes, "x") == [(0.33, 0.0)]
    (band,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.1, 0.25))
    segments = [segment for lines in axes.collections for segment in lines.get_segments()]
    half = 4.302653 * np.std(list(VALUES.values()), ddof=1) / np.sqrt(3)
    assert any(np.allclose(segment[:, 0], (0.36 - half, 0.36 + half)) for segment in segments)


def test_the_caption_explains_what_is_drawn_and_names_the_runs():
    one = draw_dots("C6", lines_of([fake_row("add", "r42", measured=0.3)]))
    several = draw_dots("C6", lines_of(rows()))
    assert "over seeds" not in one.caption
    assert "Cross" not in one.caption
    assert "over seeds" in several.caption
    assert "r42" in one.sources[0]
    assert all(f"r{seed}" in several.sources[0] for seed in SEEDS)


def test_upper_bounds_have_a_marker_of_their_own():
    found = fake_row("add", "r", published=0.15, published_is_upper_bound=True)
    (axes,) = axes_of(draw_dots("C6", lines_of([found])))
    assert points(axes, "x") == []
    assert points(axes, 8) == [(0.15, 0.0)]


@pytest.mark.parametrize(("pvalue", "beyond"), [(0.04, True), (0.2, False)])
def test_a_marker_is_filled_where_p_is_small(pvalue, beyond):
    assert is_beyond(null(pvalue)) is beyond
    (axes,) = axes_of(draw_dots("C6", lines_of([fake_row("add", "r", null=null(pvalue))])))
    (marker,) = [line for line in axes.get_lines() if line.get_marker() == "D"]
    assert (marker.get_markerfacecolor() != "white") is beyond


def test_statistics_have_panels_and_tasks_have_headings():
    found = [*rows(), *rows(statistic="peakedness"), *[row.model_copy(update={"task": "sub"}) for row in rows()]]
    drawing = draw_dots("C6", lines_of(found))
    first, second = axes_of(drawing)
    assert (first.get_xlabel(), second.get_xlabel()) == ("concentration F", "peakedness")
    labels = [label.get_text() for label in first.get_yticklabels()]
    assert labels == ["add (a + b)", "v1", "sub (a − b)", "v1"]
    assert "by sum (a + b)" in drawing.caption


def test_wide_ranges_are_logarithmic_but_shares_never():
    declines = [*rows(), *rows(direction="v2")]
    declines = [row.model_copy(update={"null": None, "measured": row.measured * 1000}) for row in declines[:4]] + [
        row.model_copy(update={"null": None}) for row in declines[4:]
    ]
    (axes,) = axes_of(draw_dots("C1", lines_of(declines)))
    assert axes.get_xscale() == "log"
    shares = [row.model_copy(update={"measured": row.measured / 1000}) for row in declines]
    (axes,) = axes_of(draw_dots("C1", lines_of(shares)))
    assert axes.get_xscale() == "linear"


def test_an_interval_wider_than_the_data_leaves_the_axis():
    found = rows()
    wide = found[0].interval.model_copy(update={"low": -50.0, "high": 50.0})
    (axes,) = axes_of(draw_dots("C6", lines_of([found[0].model_copy(update={"interval": wide}), *found[1:]])))
    low, high = axes.get_xlim()
    assert -1 < low < 0.1
    assert 0.42 < high < 1


def test_no_numbers_no_figure():
    drawing = draw_dots("C12", [])
    assert drawing.figure is None
    assert drawing.notes == ("C12: no numbers in these results",)


def test_every_claim_can_be_drawn_and_says_what_it_leaves_out():
    lines = lines_of([*claim_rows("C6"), *(row for k in range(60) for row in rows(direction=f"w{k}"))])
    assert f"Of {len(lines)} quantities" in draw_dots("C6", lines).caption
