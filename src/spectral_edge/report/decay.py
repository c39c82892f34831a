"""What of the edge is weight decay: both parts of the updates over training, and their directions at the stop."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import operation
from spectral_edge.report.selection import task_rank
from spectral_edge.store import Curve, PartEffect

__all__ = ["draw_decay"]

_SHARES = (
    ("cosine_theta", "|cosine| of v1 to the weights"),
    ("gradient_share_v1", "gradient share of v1"),
    ("gradient_share_v2", "gradient share of v2"),
)
_GAPS = (("g23", "updates"), ("g23_gradient", "gradient part"), ("g23_decay", "decay part"))
_TICKS = 4
_PARTS = {
    "v1": "v1",
    "v1-theta": "v1 across the weights",
    "theta": "the weights",
    "gradient1": "v1 of the gradient part",
    "decay1": "v1 of the decay part",
}
_EXCESSES = (
    ("concentration", "isotropic", "excess of F over random directions"),
    ("variance_share:pc1", "isotropic", "excess of the share of Var PC1 over random directions"),
    ("variance_share:pc1", "weights", "the same, over random directions at the same angle to the weights"),
)
_CAPTION = (
    "First row: how far v1 points along the weights, and which share of the updates along v1 and v2 comes from "
    "gradients and not from weight decay. Second row: g₂₃ of the updates and of both parts. Lines are medians over "
    "seeds, bands quartiles; steps are counted from the stop. Below: mean excess at the stop with its 90 % interval "
    "over seeds; filled where the interval lies above zero. v1 across the weights is v1 without its part along them. "
    "The weights have no null at their own angle."
)


def draw_decay(curves: Sequence[Curve], parts: Sequence[PartEffect]) -> Drawing:
    """Draw one column an operation."""
    tasks = sorted({curve.task for curve in curves}, key=task_rank)
    return Drawing(
        "decay",
        "What of the edge is weight decay",
        _CAPTION,
        _figure(tasks, curves, parts) if tasks else None,
        tuple(dict.fromkeys(f"{curve.task}: {curve.n} seeds" for curve in curves)),
        () if tasks else ("no series of the seeds are stored",),
    )


def _figure(tasks: Sequence[str], curves: Sequence[Curve], parts: Sequence[PartEffect]) -> Figure:
    with style():
        figure = Figure(figsize=(3.1 * len(tasks) + 1.6, 11.5), layout="constrained")
        grid = figure.subplots(
            2 + len(_EXCESSES), len(tasks), squeeze=False, sharey="row", gridspec_kw={"height_ratios": [2, 2, 1, 1, 1]}
        )
        for column, task in enumerate(tasks):
            own = {curve.quantity: curve for curve in curves if curve.task == task}
            _lines(grid[0, column], own, _SHARES)
            _lines(grid[1, column], own, _GAPS)
            grid[0, column].set_title(plain(operation(task)))
            grid[0, column].set_ylim(0, 1.03)
            grid[1, column].set_yscale("log")
            for axes in grid[:2, column]:
                axes.set_xlabel("steps before the stop")
                axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
            for axes, (statistic, null, name) in zip(grid[2:, column], _EXCESSES, strict=True):
                chosen = [p for p in parts if (p.task, p.statistic, p.null) == (task, statistic, null)]
                _excesses(axes, chosen)
                if column == 0:
                    axes.set_title(plain(name), fontsize=8.5)
        grid[0, 0].set_ylabel("share")
        grid[1, 0].set_ylabel("g₂₃")
        grid[0, -1].legend(fontsize=7, loc="lower left")
        grid[1, -1].legend(fontsize=7, loc="lower left")
        return settle(figure)


def _lines(axes: Axes, curves: dict[str, Curve], quantities: Sequence[tuple[str, str]]) -> None:
    for series, (quantity, label) in zip(SERIES, quantities, strict=False):
        curve = curves.get(quantity)
        if curve is not None:
            steps = curve.steps_before_stop
            axes.fill_between(steps, curve.low, curve.high, color=series.colour, alpha=0.15, lw=0)
            axes.plot(steps, curve.median, color=series.colour, linestyle=series.line, label=plain(label))


def _excesses(axes: Axes, parts: Sequence[PartEffect]) -> None:
    places = {direction: -place for place, direction in enumerate(_PARTS)}
    axes.axvline(0, color=GREY, lw=0.8)
    for part in parts:
        beyond = part.low > 0
        colour = SERIES[0].colour if beyond else INK
        axes.hlines(places[part.direction], part.low, part.high, color=colour, lw=1.4)
        face = colour if beyond else "white"
        axes.plot(part.effect, places[part.direction], "o", ms=5, markeredgecolor=colour, markerfacecolor=face)
    axes.set_yticks(list(places.values()), [plain(label) for label in _PARTS.values()], fontsize=7.5)
    axes.set_ylim(-len(places) + 0.4, 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
