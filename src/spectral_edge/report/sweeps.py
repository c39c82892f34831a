"""Whether a claim's p-value depends on the settings of its analysis: one figure of heatmaps a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spectral_edge.report.drawing import CELL_COLOURS, INK, Drawing, hide, plain, settle, style
from spectral_edge.report.formatting import checkpoint_label, number, operation, plural, statistic_label
from spectral_edge.report.lines import Line
from spectral_edge.report.selection import CHECKPOINTS

__all__ = ["draw_sweep"]

_LEVEL = 0.05
_STABILITY = "verdict_stability:"
_MOST_QUANTITIES = 5
# Small p is dark: what stands out survives.
_NORM = LogNorm(1e-4, 1)
_CELL = 0.4
_CAPTION = (
    "p-value of the matched null (combined over seeds where there are several) under other settings of the analysis, "
    "logarithmic colours; bold: at most 0.05, before any correction. Windows across, strides upwards, one panel for "
    "each checkpoint and centring; the strip on the right has sizes ε of the finite difference in place of the exact "
    "derivative. Framed: the setting of the main analysis. Hatched: not measured, or it does not exist there."
)


@dataclass(frozen=True)
class _Panel:
    """One table of p-values: names and values of its columns and rows, the cells that were measured, the main one."""

    title: str
    x: tuple[str, tuple[Any, ...]]
    y: tuple[str, tuple[Any, ...]]
    cells: dict[tuple[Any, Any], float]
    main: tuple[Any, Any] | None = None


def draw_sweep(claim: str, lines: Sequence[Line], main: Mapping[str, Any]) -> Drawing:
    """Draw p over window and stride for each checkpoint and centring, and over ε, one row of panels a quantity.

    Args:
        claim: whose section it stands in.
        lines: rows of the sweep, and how many of its settings agree with the main one.
        main: window, stride and centring of the main analysis; may be empty.
    """
    quantities: dict[str, list[Line]] = {}
    for line in lines:
        if line.row.null is not None:
            quantities.setdefault(_quantity(line), []).append(line)
    drawn = dict(list(quantities.items())[:_MOST_QUANTITIES])
    rows = {name: _panels(found, main) for name, found in drawn.items()}
    left_out = len(quantities) - len(drawn)
    return Drawing(
        f"sensitivity_{claim}",
        f"{claim}: sensitivity to the settings",
        _CAPTION,
        _figure(rows) if rows else None,
        tuple(_stability(line) for line in lines if line.row.statistic.startswith(_STABILITY)),
        (f"{plural(left_out, 'further swept number')} of {claim}, listed in tables/numbers.csv",) if left_out else (),
        cells=True,
    )


def _quantity(line: Line) -> str:
    return f"{operation(line.row.task)}: {line.label(('grouping', 'model', 'inputs'))}"


def _stability(line: Line) -> str:
    row = line.row
    return (
        f"{row.task}, {statistic_label(row.statistic.removeprefix(_STABILITY))} of {row.direction}: p lies on the same "
        f"side of {_LEVEL} as in the main setting in {row.measured:.0%} of the settings"
    )


def _pvalue(line: Line) -> float:
    assert line.row.null is not None, "only lines with a null are drawn"
    return line.row.null.pvalue


def _panels(lines: list[Line], main: Mapping[str, Any]) -> list[_Panel]:
    grid = [line for line in lines if line.row.relative_epsilon is None]
    places = {(line.row.checkpoint, line.row.centered) for line in grid}
    windows, strides = (_values(grid, name) for name in ("window", "stride"))
    panels = []
    for checkpoint, centered in sorted(places, key=_place):
        cells = {
            (line.row.window, line.row.stride): _pvalue(line)
            for line in grid
            if (line.row.checkpoint, line.row.centered) == (checkpoint, centered)
        }
        centring = {True: "centred", False: "uncentred", None: ""}[centered]
        title = ", ".join(text for text in (checkpoint_label(checkpoint) if checkpoint else "", centring) if text)
        framed = (main.get("window"), main.get("stride")) if main.get("centered") == centered else None
        panels.append(_Panel(title, ("window", windows), ("stride", strides), cells, framed))
    return [*panels, *_strip([line for line in lines if line.row.relative_epsilon is not None])]


def _place(place: tuple[str | None, bool | None]) -> tuple[int, bool]:
    checkpoint, centered = place
    return (-CHECKPOINTS.index(checkpoint) if checkpoint in CHECKPOINTS else 0), not centered


def _strip(lines: list[Line]) -> list[_Panel]:
    if not lines:
        return []
    checkpoints = tuple(sorted({line.row.checkpoint or "" for line in lines}, key=lambda name: _place((name, None))))
    cells = {(line.row.relative_epsilon, line.row.checkpoint or ""): _pvalue(line) for line in lines}
    return [_Panel("finite difference", ("ε", _values(lines, "relative_epsilon")), ("", checkpoints), cells)]


def _values(lines: list[Line], name: str) -> tuple[Any, ...]:
    return tuple(sorted({getattr(line.row, name) for line in lines} - {None}))


def _figure(rows: dict[str, list[_Panel]]) -> Figure:
    columns = max(len(panels) for panels in rows.values())
    heights = [max(len(panel.y[1]) for panel in panels) * _CELL * 0.75 + 0.95 for panels in rows.values()]
    widths = [
        max(len(panels[column].x[1]) for panels in rows.values() if column < len(panels)) * 1.25 * _CELL + 0.45
        for column in range(columns)
    ]
    with style():
        figure = Figure(figsize=(sum(widths) + 1.2, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights).ravel()
        for part, (name, panels) in zip(parts, rows.items(), strict=True):
            part.suptitle(plain(name), x=0.01, ha="left", fontsize=9.5, fontweight="bold")
            cells = part.subplots(1, columns, squeeze=False, width_ratios=widths).ravel()
            for axes, panel in zip(cells, panels, strict=False):
                _draw(axes, panel)
            for axes in cells[len(panels) :]:
                hide(axes)
            bar = part.colorbar(ScalarMappable(_NORM, CELL_COLOURS), ax=list(cells), label="p", aspect=10, pad=0.01)
            bar.minorticks_off()
        return settle(figure)


def _draw(axes: Axes, panel: _Panel) -> None:
    (x_name, xs), (y_name, ys) = panel.x, panel.y
    for column, x in enumerate(xs):
        for row, y in enumerate(ys):
            _draw_cell(axes, column, row, panel.cells.get((x, y)), framed=(x, y) == panel.main)
    axes.set_title(plain(panel.title), fontsize=8.5)
    axes.set(xlim=(-0.55, len(xs) - 0.45), ylim=(-0.55, len(ys) - 0.45), xlabel=plain(x_name), ylabel=plain(y_name))
    axes.set_xticks(range(len(xs)), [number(x) for x in xs])
    axes.set_yticks(range(len(ys)), [plain(y) if isinstance(y, str) else number(y) for y in ys])
    axes.tick_params(length=0, labelsize=7.5)
    axes.spines[:].set_visible(False)


def _draw_cell(axes: Axes, column: int, row: int, pvalue: float | None, *, framed: bool) -> None:
    corner = (column - 0.48, row - 0.47)
    frame: dict[str, Any] = {"edgecolor": INK, "lw": 2.2, "zorder": 3} if framed else {}
    if pvalue is None:
        plain_edge: dict[str, Any] = {"edgecolor": "#b5b5b5", "lw": 0.5}
        axes.add_patch(Rectangle(corner, 0.96, 0.94, facecolor="white", hatch="////", **(plain_edge | frame)))
        return
    colour = CELL_COLOURS(_NORM(max(pvalue, 1e-4)))
    axes.add_patch(Rectangle(corner, 0.96, 0.94, facecolor=colour, **({"edgecolor": "none"} | frame)))
    dark = float(np.dot(colour[:3], (0.2126, 0.7152, 0.0722))) < 0.45
    weight = "bold" if pvalue <= _LEVEL else "normal"
    text = f"{pvalue:.0e}".replace("e-0", "e−") if pvalue < 0.001 else f"{pvalue:.2g}"
    ink = "white" if dark else INK
    axes.text(column, row, text, ha="center", va="center", fontsize=6.5, zorder=4, color=ink, weight=weight)
