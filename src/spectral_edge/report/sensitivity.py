"""Each claim's p-value in every setting that an edge could have been given: one heatmap a claim and task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spectral_edge.report.drawing import CELL_COLOURS, INK, Drawing, hide, plain, settle, style
from spectral_edge.report.formatting import grouping_label, operation
from spectral_edge.store.results import ClaimRow, Claims

if TYPE_CHECKING:
    from matplotlib.image import AxesImage

__all__ = ["draw_sensitivity"]

_PREFIX = "sensitivity:"
_STABILITY = "verdict_stability:"
_CHECKPOINTS = ("transition", "stop", "final")
_COLUMNS = 4
_LEVEL = 0.05
_SMALLEST = 1e-3
_WHITE_BELOW = 1.4  # of -log10 p: cividis is dark where p is large
_CAPTION = (
    "p-value of each claim's statistic against random directions at the same checkpoint, combined over seeds, in every "
    "setting of the edge. Rows: checkpoint, stride of the updates in optimizer steps, centred (c) or not (n). Columns: "
    "updates in the window. Last row: finite differences of the given relative step in place of the derivative, in the "
    "main setting. Light cells have small p; those below 0.05, not adjusted for the number of cells, are in bold. "
    "Outlined: the setting of the main analysis. Grey: no run has such a window, too few steps lie before the "
    "checkpoint, or the step does not matter. A title's share is of the cells on the same side of 0.05 as the outlined "
    "one of the paper's checkpoint."
)


def draw_sensitivity(claims: Claims) -> Drawing:
    """Draw a heatmap for every claim and task that has rows of the sensitivity study."""
    found: dict[tuple[str, ...], list[ClaimRow]] = {}
    for row in claims.rows:
        if row.statistic.startswith(_PREFIX) and row.null is not None:
            found.setdefault(_panel(row, _PREFIX), []).append(row)
    panels = {key: found[key] for key in sorted(found, key=lambda key: (int(key[0][1:]), key))}
    shares = {_panel(row, _STABILITY): row.measured for row in claims.rows if row.statistic.startswith(_STABILITY)}
    main = tuple(claims.analysis.get(name) for name in ("stride", "window", "centered"))
    return Drawing(
        "sensitivity",
        "Sensitivity to window, stride, centring, step and checkpoint",
        _CAPTION,
        _figure(panels, shares, main) if panels else None,
        tuple(_source(key, rows) for key, rows in panels.items()),
        () if panels else ("no stored rows of the sensitivity study",),
    )


def _panel(row: ClaimRow, prefix: str) -> tuple[str, ...]:
    return row.claim, row.task, row.statistic.removeprefix(prefix), row.direction or "", row.grouping or ""


def _source(key: tuple[str, ...], rows: Sequence[ClaimRow]) -> str:
    claim, task, statistic, direction, grouping = key
    seeds = sorted({seed for row in rows for seed in [*(row.seeds or []), row.seed] if seed is not None})
    bases = ", ".join(grouping_label(basis) for basis in grouping.split("|")) if grouping else "no grouping"
    largest = "largest of " if "|" in grouping else ""
    return f"{claim}, {operation(task)}: {statistic} of {direction}, {largest}{bases}; seeds {seeds}"


def _figure(
    panels: dict[tuple[str, ...], list[ClaimRow]], shares: dict[tuple[str, ...], float], main: tuple[Any, ...]
) -> Figure:
    every = [row for rows in panels.values() for row in rows]
    layout = _Layout(every)
    lines = -(-len(panels) // _COLUMNS)
    with style():
        figure = Figure(figsize=(12, (0.75 + 0.2 * layout.height) * lines), layout="constrained")
        grid = figure.subplots(lines, _COLUMNS, squeeze=False)
        for axes in grid.ravel():
            hide(axes)
        for place, (key, rows) in enumerate(panels.items()):
            axes = grid.ravel()[place]
            image = _draw(axes, layout, rows, main)
            share = f", {shares[key]:.0%}" if key in shares else ""
            axes.set_title(plain(f"{key[0]}, {key[1]}: {key[2].replace('_', ' ')}{share}\n{key[3]}"), fontsize=8)
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), label="p", aspect=50, fraction=0.015, pad=0.01)
        ticks = [1, 0.3, 0.1, _LEVEL, 0.01, _SMALLEST]
        bar.set_ticks([-math.log10(p) for p in ticks], labels=[f"{p:g}" for p in ticks])
        return settle(figure)


class _Layout:
    """Which setting stands in which cell: the same in all panels."""

    def __init__(self, rows: Sequence[ClaimRow]) -> None:
        exact = [row for row in rows if row.relative_epsilon is None]
        self.windows = sorted({row.window for row in exact if row.window is not None})
        self.lines = sorted(
            {(row.checkpoint, row.stride, row.centered) for row in exact},
            key=lambda line: (_CHECKPOINTS.index(str(line[0])), line[1] or 0, not line[2]),
        )
        self.epsilons = sorted({row.relative_epsilon for row in rows if row.relative_epsilon is not None})
        self.height = len(self.lines) + bool(self.epsilons)
        self.width = max(len(self.windows), len(self.epsilons))

    def cell(self, row: ClaimRow) -> tuple[int, int]:
        """Line and column of a row's setting."""
        if row.relative_epsilon is not None:
            return len(self.lines), self.epsilons.index(row.relative_epsilon)
        assert row.window is not None
        return self.lines.index((row.checkpoint, row.stride, row.centered)), self.windows.index(row.window)

    def label(self, line: int) -> str:
        """Checkpoint, stride and centring of a line."""
        if line == len(self.lines):
            return "step " + ", ".join(f"{epsilon:g}" for epsilon in self.epsilons)
        checkpoint, stride, centered = self.lines[line]
        return f"{checkpoint} {stride} {'c' if centered else 'n'}"


def _draw(axes: Axes, layout: _Layout, rows: Sequence[ClaimRow], main: tuple[Any, ...]) -> AxesImage:
    pvalues = np.full((layout.height, layout.width), np.nan)
    for row in rows:
        assert row.null is not None
        pvalues[layout.cell(row)] = row.null.pvalue
    shown = -np.log10(np.maximum(pvalues, _SMALLEST))
    axes.set_axis_on()
    image = axes.imshow(shown, cmap=CELL_COLOURS, vmin=0, vmax=-math.log10(_SMALLEST), aspect="auto")
    for (line, column), p in np.ndenumerate(pvalues):
        if np.isfinite(p):
            colour = "white" if shown[line, column] < _WHITE_BELOW else INK
            weight = "bold" if p < _LEVEL else "normal"
            axes.text(column, line, _short(p), ha="center", va="center", fontsize=6, color=colour, weight=weight)
    for row in rows:
        if (row.stride, row.window, row.centered) == main and row.relative_epsilon is None:
            line, column = layout.cell(row)
            frame = Rectangle((column - 0.46, line - 0.46), 0.92, 0.92, fill=False, edgecolor="#D55E00", linewidth=1.6)
            axes.add_patch(frame)
    axes.set_xticks(range(len(layout.windows)), [str(window) for window in layout.windows])
    axes.set_yticks(range(layout.height), [plain(layout.label(line)) for line in range(layout.height)], fontsize=6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _short(p: float) -> str:
    """``.03``, ``<.001``; no leading zero, which cells have no room for."""
    if p < _SMALLEST:
        return "<.001"
    return f"{p:.2g}" if p >= 0.995 else f"{p:.3f}"[1:] if p < 0.01 else f"{p:.2f}"[1:]
