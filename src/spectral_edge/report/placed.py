"""Where the numbers of a reproduction lie among those of stored runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import measurement, operation, statistic_label
from spectral_edge.report.selection import task_rank
from spectral_edge.store import PlacedNumber, Spread

__all__ = ["draw_placed", "placed_sentence"]

_MOST = 2.2  # half-widths of the interval, to either side
_LINE_HEIGHT = 0.235
_MOST_NAMED = 2  # runs of one operation whose numbers stand beside their line
_CAPTION = (
    "Each line is one number. Its band is the 95 % prediction interval of the stored runs, drawn to one width for all; "
    "the tick is their mean, of logarithms for concentrations, ratios and steps. A filled mark lies "
    "inside, an open one outside; a mark at the edge lies further out. The figures on the right are the numbers and "
    "the interval. One number in twenty lies outside by chance, and those of one run go together. One seed decides "
    "nothing: the answers come from the stored runs."
)


def placed_sentence(placed: Sequence[PlacedNumber]) -> str:
    """Return how many numbers lie inside: ``41 of 44 numbers lie in the 95 % interval of the 30 stored runs``."""
    if not placed:
        return "No number of these runs has a stored distribution."
    inside = sum(one.inside for one in placed)
    counts = sorted({one.spread.n for one in placed})
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{inside} of {len(placed)} numbers lie in the 95 % interval of the {runs} stored runs of their operation."


def draw_placed(placed: Sequence[PlacedNumber]) -> Drawing:
    """Draw one panel an operation, one line a number; several runs of an operation share a line."""
    tasks = sorted({one.spread.task for one in placed}, key=task_rank)
    return Drawing(
        "placed",
        "These runs among the stored ones",
        f"{placed_sentence(placed)} {_CAPTION}",
        _figure(placed, tasks) if placed else None,
        tuple(dict.fromkeys(f"{one.spread.task}: run {one.run}, seed {one.seed}" for one in placed)),
        () if placed else ("no run of this reproduction has a stored distribution",),
    )


def _figure(placed: Sequence[PlacedNumber], tasks: Sequence[str]) -> Figure:
    columns = 2 if len(tasks) > 1 else 1
    rows = -(-len(tasks) // columns)
    most = max(len({_key(one.spread) for one in placed if one.spread.task == task}) for task in tasks)
    with style():
        figure = Figure(figsize=(6.4 * columns, rows * (_LINE_HEIGHT * most + 0.8)), layout="constrained")
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, task in zip(cells, tasks, strict=False):
            _draw(axes, [one for one in placed if one.spread.task == task])
            axes.set_title(plain(operation(task)))
        for axes in cells[len(tasks) :]:
            axes.set_axis_off()
        return settle(figure)


def _key(spread: Spread) -> tuple[str, str | None]:
    return spread.statistic, spread.direction


def _draw(axes: Axes, placed: Sequence[PlacedNumber]) -> None:
    lines: dict[tuple[str, str | None], list[PlacedNumber]] = {}
    for one in placed:
        lines.setdefault(_key(one.spread), []).append(one)
    for place, group in enumerate(lines.values()):
        spread = group[0].spread
        axes.barh(-place, 2, left=-1, height=0.6, color="#e3e3e3", zorder=1)
        axes.vlines(_position(spread, spread.mean), -place - 0.3, -place + 0.3, color=GREY, lw=1.2, zorder=2)
        for one in group:
            at = float(np.clip(_position(spread, one.measured), -_MOST, _MOST))
            colour = SERIES[0].colour if one.inside else SERIES[1].colour
            face = colour if one.inside else "white"
            axes.plot(at, -place, marker="o", ms=6, markeredgecolor=colour, markerfacecolor=face, zorder=4)
        named = ", ".join(_text(one.measured) for one in group)
        text = f"{named if len(group) <= _MOST_NAMED else 'runs'} in {_text(spread.low)} to {_text(spread.high)}"
        axes.text(_MOST + 0.3, -place, plain(text), fontsize=7.5, va="center", color=INK)
    axes.set_xlim(-_MOST - 0.15, 2.6 * _MOST)
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    axes.set_yticks([-place for place in range(len(lines))], [plain(statistic_label(name)) for name, _ in lines])
    axes.set_xticks([-1, 1], ["2.5 %", "97.5 %"])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _text(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else measurement(value)


def _position(spread: Spread, value: float) -> float:
    """In half-widths of the interval, from its middle, on the scale on which it was made."""
    numbers = np.array([spread.low, spread.high, value])
    low, high, at = np.log(numbers) if spread.logarithmic else numbers
    half = (high - low) / 2
    return 0.0 if half == 0 else float((at - (low + high) / 2) / half)
