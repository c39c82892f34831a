"""The evidence on causes drawn: the loss without the edge, the delay of training without it, how the loss bends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from spectral_edge.experiments.causes import UNMATCHED, arms_of
from spectral_edge.replication.claims.question import FOUR_TASKS
from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import operation
from spectral_edge.statistics import mean_interval

if TYPE_CHECKING:
    import polars


__all__ = ["draw_causes"]

_CONTROLS = ("isotropic", "weights", "span", "blocks", "theta", UNMATCHED)
_BENT = ("isotropic", "weights", "span", "blocks")
_ARMS = {
    "edge": "v₁", "edge3": "v₁ … v₃", "across": "v₁ without θ", "theta": "θ", "span": "3 random of the window",
    "span_across": "3 such without θ", "rest": "v₂ … v₉",
}  # fmt: skip
_NAMES = {
    "isotropic": "any direction", "weights": "same angle to θ", "span": "of the window", "blocks": "entries permuted",
    "theta": "θ itself", UNMATCHED: "k at random",
}  # fmt: skip
_LEVEL = 0.90
_CAPTION = (
    "Above: held-out loss at the stop after the edge is removed (blue), after steps of the same length (orange), and, "
    "as was published, after as many random directions are removed (grey); triangles: the loss as it was. Middle: time "
    "from the arm's begin to the stop, over that of the unchanged run; open: not all runs stopped, so it is a lower "
    "bound. Below: vᵀGv of v₁ at the stop over that of matched directions. Marks: geometric means over seeds, bars: "
    "90 % intervals."
)


def draw_causes(tables: dict[str, polars.DataFrame]) -> Drawing:
    """Draw three panels an operation, operations side by side.

    Args:
        tables: of ``gather_causes``.
    """
    tasks = sorted(set(tables["ablation"]["task"]), key=FOUR_TASKS.index)
    with style():
        figure = Figure(figsize=(1.9 + 1.45 * len(tasks), 6.6), layout="constrained")
        heights = [1 + len(_CONTROLS), len(_ARMS), len(_BENT)]
        grid = figure.subplots(3, len(tasks), squeeze=False, sharex="row", sharey="row", height_ratios=heights)
        for column, task in enumerate(tasks):
            own = {kind: table.filter(task=task) for kind, table in tables.items()}
            _removal(grid[0, column], own["ablation"])
            _delay(grid[1, column], own["training"])
            _curvature(grid[2, column], own["bending"])
            grid[0, column].set_title(plain(operation(task)))
        for row, label in zip(
            grid, ("held-out loss after removal", "delay of training", "vᵀGv of v₁ over"), strict=True
        ):
            row[0].set_ylabel(label, fontweight="bold")
        settle(figure)
    counts = [f"{task}: {tables['ablation'].filter(task=task)['seed'].n_unique()} seeds" for task in tasks]
    trained = tables["training"]["seed"].n_unique() if len(tables["training"]) else 0
    counts.append(f"training arms and curvature: {trained} seeds")
    return Drawing("causes", "What the edge causes", _CAPTION, figure, tuple(counts), ())


def _removal(axes: Axes, table: polars.DataFrame) -> None:
    own = table.filter(moved="removed", centered=True, is_edge=True, strength=1.0, quantity="log_loss")
    lines = [("the edge", own.filter(null="isotropic")["measured"].to_numpy(), SERIES[0].colour)]
    for null in _CONTROLS:
        colour = GREY if null == UNMATCHED else SERIES[1].colour
        lines.append((_NAMES[null], own.filter(null=null)["null_mean"].to_numpy(), colour))
    _marks(axes, lines, ticks=(1.0,))
    baseline = np.exp(own.filter(null="isotropic")["baseline"].to_numpy().mean()) if len(own) else np.nan
    axes.plot([baseline] * len(lines), [-i for i in range(len(lines))], "<", color=INK, markersize=3)


def _delay(axes: Axes, table: polars.DataFrame) -> None:
    arms = arms_of(table)
    found = {arm: arms.filter(training_arm=arm)["delay"].to_numpy() for arm in _ARMS}
    stopped = {arm: not arms.filter(training_arm=arm)["censored"].any() for arm in _ARMS}
    lines = [
        (label, found[arm], SERIES[0 if "edge" in arm or arm == "across" else 1].colour) for arm, label in _ARMS.items()
    ]
    _marks(axes, lines, filled=list(stopped.values()))
    axes.axvline(1, color=GREY, lw=0.8)


def _curvature(axes: Axes, table: polars.DataFrame) -> None:
    own = table.filter(checkpoint="stop", direction="v1", quantity="log_gauss_newton")
    lines = []
    for null in _BENT:
        part = own.filter(null=null)
        lines.append((_NAMES[null], part["measured"].to_numpy() - part["null_mean"].to_numpy(), SERIES[0].colour))
    _marks(axes, lines, ticks=(1.0, 2.0, 5.0))
    axes.axvline(1, color=GREY, lw=0.8)


def _marks(
    axes: Axes,
    lines: Sequence[tuple[str, np.ndarray, str]],
    filled: Sequence[bool] | None = None,
    ticks: tuple[float, ...] = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0),
) -> None:
    """A line for each: the geometric mean of exp(values) with its interval, on a logarithmic axis."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([-i for i in range(len(lines))], [plain(label) for label, _, _ in lines])
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    axes.tick_params(axis="y", length=0)
    for place, (_, values, colour) in enumerate(lines):
        if not len(values):
            continue
        if len(values) > 1:
            axes.hlines(-place, *np.exp(mean_interval(values, _LEVEL)), color=colour, lw=1.3)
        face = colour if filled is None or filled[place] else "white"
        axes.plot(np.exp(values.mean()), -place, "o", color=colour, markerfacecolor=face, markersize=4.5)
