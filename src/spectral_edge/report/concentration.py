"""Dot and null: the concentration of v1…v8 beside what random directions reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, hide, plain, settle, style
from spectral_edge.report.selection import DIRECTIONS, Panel, spectrum_panels
from spectral_edge.store.results import NullSummary

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["draw_concentration"]

_COLUMNS = 3
_LEVEL = 0.05
_BAR = "#dcdcdc"
_DOT: dict[str, Any] = {
    "marker": "o",
    "markersize": 7,
    "linestyle": "none",
    "markeredgecolor": SERIES[0].colour,
}
_CROSS: dict[str, Any] = {
    "marker": "x",
    "markersize": 7,
    "linestyle": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 1.4,
}
_CAPTION = (
    "Fourier concentration F (largest share of power at one frequency) of the functional mode of each edge "
    "direction. Grey bar: 95 % quantile of the same statistic over random directions at the same checkpoint; "
    "the line across it: their mean. A filled dot has adjusted p ≤ 0.05 against that null (plain p where no "
    "adjusted one is stored), an open dot has not. Cross: published value."
)


def draw_concentration(runs: Mapping[str, Analysis]) -> Drawing:
    """Draw F of v1…v8 over its null in every panel that has concentration rows."""
    panels, missing = spectrum_panels(runs)
    drawn = [panel for panel in panels if panel.rows]
    empty = [f"{panel.task} by {panel.grouping}: no concentration rows" for panel in panels if not panel.rows]
    return Drawing(
        "concentration",
        "Concentration of each edge direction and its null",
        _CAPTION,
        _figure(drawn) if drawn else None,
        tuple(panel.source for panel in drawn),
        (*missing, *empty),
    )


def _figure(panels: list[Panel]) -> Figure:
    rows = -(-(len(panels) + 1) // _COLUMNS)
    with style():
        figure = Figure(figsize=(12, 2.9 * rows), layout="constrained")
        cells = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes, panel in zip(cells, panels, strict=False):
            _draw(axes, panel)
        for axes in cells[len(panels) :]:
            hide(axes)
        cells[len(panels)].legend(handles=_legend(), loc="center left", labelspacing=0.9)
        return settle(figure)


def _draw(axes: Axes, panel: Panel) -> None:
    for place, direction in enumerate(DIRECTIONS):
        row = panel.rows.get(direction)
        if row is None:
            continue
        if row.null is not None:
            axes.bar(place, row.null.quantile95, width=0.8, color=_BAR)
            axes.hlines(row.null.mean, place - 0.4, place + 0.4, color=GREY, lw=1.4)
        if row.published is not None:
            axes.plot(place, row.published, zorder=4, **_CROSS)
        face = SERIES[0].colour if _is_beyond(row.null) else "white"
        axes.plot(place, row.measured, zorder=5, markerfacecolor=face, **_DOT)
    axes.set_title(plain(panel.title))
    axes.set_ylabel("concentration F")
    axes.set_xlabel("edge direction")
    axes.set_xticks(range(len(DIRECTIONS)), DIRECTIONS)
    axes.set_xlim(-0.7, len(DIRECTIONS) - 0.3)
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0)


def _is_beyond(null: NullSummary | None) -> bool:
    if null is None:
        return False
    return (null.pvalue if null.pvalue_adjusted is None else null.pvalue_adjusted) <= _LEVEL


def _legend() -> list[Line2D | Patch]:
    blue = SERIES[0].colour
    return [
        Line2D([], [], **_DOT, markerfacecolor=blue, label="measured, adjusted p ≤ 0.05"),
        Line2D([], [], **_DOT, markerfacecolor="white", label="measured, p above 0.05 or no null"),
        Line2D([], [], **_CROSS, label="published"),
        Line2D([], [], color=GREY, lw=1.4, label="random directions: mean"),
        Patch(color=_BAR, label="random directions: up to the 95 % quantile"),
    ]
