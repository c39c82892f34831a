"""Draw a comparison: each direction against the bands of each null."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spectral_edge.comparison.result import Comparison, NullRow

__all__ = ["COLOURS", "OTHER", "ShownFigure", "legend_below", "panel_grid", "panel_title", "plot_comparison"]

COLOURS = {
    "isotropic": "#4477aa",
    "span": "#228833",
    "weights": "#aa3377",
    "blocks": "#66ccee",
    "inputs": "#999999",
}
OTHER = "#ccbb44"
_SPREAD = 0.7
_BAND = "band: middle 90 % of the draws; line: their mean"
_IN_A_ROW = 4
_LETTERS = 9  # of a title in an inch


class ShownFigure(Figure):
    """A figure that a notebook shows, whether or not pyplot has been used in it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def panel_grid(panels: int, width: float, height: float) -> tuple[ShownFigure, list[Axes]]:
    """A figure of panels of this size in inches, at most four a row, narrower where that would pass 16 inches."""
    columns = min(panels, _IN_A_ROW)
    rows = -(-panels // columns)
    figure = ShownFigure(figsize=(min(width * columns, 16), height * rows), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in cells[panels:]:
        empty.remove()
    return figure, list(cells[:panels])


def panel_title(axes: Axes, name: str) -> None:
    """Name a panel, in as many lines as its width needs."""
    text = name.replace("_", " ")
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    width = figure.get_figwidth() / axes.get_gridspec().ncols  # type: ignore[union-attr]
    axes.set_title("\n".join(textwrap.wrap(text, max(12, int(_LETTERS * width)))))


def legend_below(figure: Figure, axes: Axes) -> None:
    """What the marks of a panel mean, below all panels, in as many columns as there is room for."""
    handles, labels = axes.get_legend_handles_labels()
    most = max(1, int(figure.get_figwidth() / 1.3))
    figure.legend(
        handles, labels, title=_BAND, loc="outside lower center", ncols=min(len(labels), most), frameon=False,
        fontsize="small", title_fontsize="small",
    )  # fmt: skip


def plot_comparison(comparison: Comparison) -> Figure:
    """One panel a statistic; a band is the middle 90 % of a null's draws, its line their mean, the dot the direction.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not comparison.rows:
        raise ValueError("plot: the comparison has no rows")
    statistics = list(dict.fromkeys(row.statistic for row in comparison.rows))
    nulls = list(dict.fromkeys(row.null for row in comparison.rows))
    directions = max(len({row.direction for row in comparison.rows}), 1)
    width = max(4.0, 1.4 + 0.36 * len(nulls) * directions)
    figure, panels = panel_grid(len(statistics), width, 3.6)
    for axes, statistic in zip(panels, statistics, strict=True):
        _panel(axes, [row for row in comparison.rows if row.statistic == statistic], nulls)
        panel_title(axes, statistic)
    legend_below(figure, panels[0])
    return figure


def _panel(axes: Axes, rows: list[NullRow], nulls: list[str]) -> None:
    directions = list(dict.fromkeys(row.direction for row in rows))
    for number, null in enumerate(nulls):
        colour = COLOURS.get(null, OTHER)
        shift = _SPREAD * ((number + 0.5) / len(nulls) - 0.5)
        for row in (row for row in rows if row.null == null and len(row.values)):
            low, high = np.quantile(row.values, [0.05, 0.95])
            x, half = directions.index(row.direction) + shift, 0.4 * _SPREAD / len(nulls)
            axes.fill_between([x - half, x + half], low, high, color=colour, alpha=0.35, linewidth=0)
            axes.plot([x - half, x + half], [row.values.mean()] * 2, color=colour, linewidth=1.5)
        axes.fill_between([], [], [], color=colour, alpha=0.35, linewidth=0, label=null)
    for at, direction in enumerate(directions):
        measured = next(row.measured for row in rows if row.direction == direction)
        label = "measured" if at == 0 else None
        axes.hlines(measured, at - _SPREAD / 2, at + _SPREAD / 2, color="black", linewidth=0.8)
        axes.plot([at], [measured], "o", color="black", markersize=5, label=label)
    axes.set_xticks(range(len(directions)), ["set" if d is None else f"v{d}" for d in directions])
    axes.set_xlim(-0.6, len(directions) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)
