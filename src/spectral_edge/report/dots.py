"""A claim in one figure: every headline quantity as a line with its seeds, mean, interval, null and published value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import enumeration, operation, statistic_label
from spectral_edge.report.lines import Line, headline, setting, tasks_of
from spectral_edge.store.results import NullSummary

__all__ = ["draw_dots", "is_beyond"]

_LEVEL = 0.05
_MOST_NAMED = 6
_BAND = "#dcdcdc"
_BESIDE = "#6b6b6b"
_BLUE = SERIES[0].colour
# Beyond this ratio of its values an axis is logarithmic, unless they are shares or correlations.
_WIDE = 30.0
_LINE_HEIGHT, _PANEL_HEIGHT, _WIDTH = 0.215, 0.62, 9.2
_MEAN: dict[str, Any] = {"marker": "D", "markersize": 6.5, "linestyle": "none", "markeredgecolor": _BLUE, "zorder": 6}
_SEED: dict[str, Any] = {
    "marker": "o",
    "markersize": 4.2,
    "linestyle": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 0.8,
    "markerfacecolor": "none",
    "zorder": 7,
}
_PUBLISHED: dict[str, Any] = {
    "marker": "x",
    "markersize": 7.5,
    "linestyle": "none",
    "markeredgecolor": SERIES[1].colour,
    "markeredgewidth": 2.0,
    "zorder": 8,
}
_BOUND: dict[str, Any] = _PUBLISHED | {"marker": 8, "markersize": 8}  # a caret that points left: "at most"


@dataclass(frozen=True)
class _Slot:
    """A line of the figure: the heading of a task, or a quantity."""

    text: str
    line: Line | None


def draw_dots(claim: str, lines: Sequence[Line]) -> Drawing:
    """Draw the headline quantities of ``claim``, one panel a statistic, grouped by task."""
    chosen = headline(lines)
    varying, shared = setting(chosen) if chosen else ((), "")
    left_out = len(lines) - len(chosen)
    rest = f" Of {len(lines)} quantities the {len(chosen)} headline ones are shown." if left_out else ""
    return Drawing(
        f"claim_{claim}",
        f"{claim}: further numbers beside null and published value",
        f"{_caption(chosen)} {shared}{rest}".strip(),
        _figure(chosen, varying) if chosen else None,
        _sources(chosen),
        () if chosen else (f"{claim}: no numbers in these results",),
    )


def _caption(lines: Sequence[Line]) -> str:
    """Explain the marks that are drawn, and no others."""
    several = any(line.combined is not None for line in lines)
    nulls = any(line.row.null is not None for line in lines)
    value = "mean over seeds" if several else "the value of the run"
    if any(line.row.interval is not None for line in lines):
        value = f"with bar: {value} and its 95 % interval"
    parts = [f"Diamond{' ' if value.startswith('with') else ': '}{value}"]
    parts[0] += ", filled where the p of the matched null is at most 0.05, open where it is not." if nulls else "."
    if any(line.combined is not None and line.runs for line in lines):
        parts.append("Open circle: one run.")
    if nulls:
        parts.append("Grey: from the mean of the null (line) to its 95 % quantile.")
    published = [line for line in lines if line.published is not None]
    if any(not line.is_upper_bound for line in published):
        parts.append("Cross: published value.")
    if any(line.is_upper_bound for line in published):
        parts.append("Arrowhead to the left: published as “at most”.")
    if any(line.row.interval is not None for line in lines):
        parts.append("A bar that leaves the axis runs on.")
    return " ".join(parts)


def _sources(lines: Sequence[Line]) -> tuple[str, ...]:
    """The runs behind the marks, by task."""
    found: dict[str, list[str]] = {}
    for row in (row for line in lines for row in (line.runs or (line.row,))):
        names = found.setdefault(row.task, [])
        if row.run_id and row.run_id not in names:
            names.append(row.run_id)
    return tuple(f"{operation(task)}: {_named(runs)}" for task, runs in found.items() if runs)


def _named(runs: Sequence[str]) -> str:
    more = [f"{len(runs) - _MOST_NAMED} more"] if len(runs) > _MOST_NAMED else []
    return f"{'run' if len(runs) == 1 else 'runs'} {enumeration([*runs[:_MOST_NAMED], *more])}"


def _figure(lines: list[Line], varying: tuple[str, ...]) -> Figure:
    with_heading = len(tasks_of(lines)) > 1
    panels = [
        (statistic, _slots(list(group), varying, with_heading=with_heading))
        for statistic, group in groupby(lines, key=lambda line: line.row.statistic)
    ]
    heights = [_PANEL_HEIGHT + _LINE_HEIGHT * len(slots) for _, slots in panels]
    with style():
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.5), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).ravel()
        for axes, (statistic, slots) in zip(grid, panels, strict=True):
            _draw(axes, slots)
            axes.set_xlabel(plain(statistic_label(statistic)))
        figure.legend(handles=_legend(lines), loc="outside upper center", ncols=3, columnspacing=1.6, fontsize=8)
        return settle(figure)


def _slots(lines: list[Line], varying: tuple[str, ...], *, with_heading: bool) -> list[_Slot]:
    slots = []
    for task, group in groupby(lines, key=lambda line: line.row.task):
        slots += [_Slot(operation(task), None)] if with_heading else []
        slots += [_Slot(line.short_label(varying), line) for line in group]
    return slots


def _draw(axes: Axes, slots: list[_Slot]) -> None:
    places = [-place for place in range(len(slots))]
    lines = [(place, slot.line) for place, slot in zip(places, slots, strict=True) if slot.line is not None]
    _scale(axes, [line for _, line in lines])
    low, high = axes.get_xlim()
    for place, line in lines:
        axes.axhline(place, color="#e9e9e9", lw=0.6, zorder=0)
        _draw_line(axes, place, line)
    axes.set_xlim(low, high)
    axes.set_ylim(places[-1] - 0.7, 0.7)
    axes.set_yticks(places, [plain(slot.text) for slot in slots])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for label, slot in zip(axes.get_yticklabels(), slots, strict=True):
        label.set_fontweight("bold" if slot.line is None else "normal")
        label.set_color(INK if slot.line is None else _BESIDE)


def _scale(axes: Axes, lines: list[Line]) -> None:
    """Choose limits that show every value, null and published number, and of wide intervals what fits."""
    values = np.array([value for line in lines for value in _values(line)])
    if values.min() > 0 and values.max() > max(_WIDE * values.min(), 2):
        axes.set_xscale("log")
        axes.set_xlim(values.min() / 1.5, values.max() * 1.5)
        return
    low, high = float(values.min()), float(values.max())
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    margin = 0.08 * ((high - low) or abs(high) or 1.0)
    axes.set_xlim(low - (margin if low else 0.01 * high), high + 2 * margin)


def _values(line: Line) -> list[float]:
    null, published = line.row.null, line.published
    found = [line.row.measured, *(row.measured for row in line.runs)]
    found += [] if null is None else [null.mean, null.quantile95]
    return found if published is None else [*found, published]


def _draw_line(axes: Axes, place: float, line: Line) -> None:
    row, null = line.row, line.row.null
    if null is not None:
        axes.barh(place, null.quantile95 - null.mean, left=null.mean, height=0.72, color=_BAND, zorder=1)
        axes.vlines(null.mean, place - 0.36, place + 0.36, color=GREY, lw=1.6, zorder=2)
    if row.interval is not None:
        axes.hlines(place, row.interval.low, row.interval.high, color=_BLUE, lw=1.6, zorder=5)
    if line.combined is not None:
        axes.plot(row.measured, place, markerfacecolor=_BLUE if is_beyond(null) else "white", **_MEAN)
        axes.plot([run.measured for run in line.runs], [place] * len(line.runs), **_SEED)
    else:
        axes.plot(row.measured, place, **_MEAN, markerfacecolor=_BLUE if is_beyond(null) else "white")
    if line.published is not None:
        axes.plot(line.published, place, **(_BOUND if line.is_upper_bound else _PUBLISHED))


def is_beyond(null: NullSummary | None) -> bool:
    """Return whether a value is marked as beyond its null: p ≤ 0.05."""
    return null is not None and null.pvalue <= _LEVEL


def _legend(lines: list[Line]) -> list[Line2D | Patch]:
    rows = [line.row for line in lines]
    handles: list[Line2D | Patch] = [
        Line2D([], [], **_MEAN, markerfacecolor=_BLUE, label="value or mean, p ≤ 0.05"),
        Line2D([], [], **_MEAN, markerfacecolor="white", label="value or mean, p above 0.05 or no null"),
    ]
    if any(line.combined is not None and line.runs for line in lines):
        handles.append(Line2D([], [], **_SEED, label="one run"))
    if any(line.published is not None and not line.is_upper_bound for line in lines):
        handles.append(Line2D([], [], **_PUBLISHED, label="published"))
    if any(line.published is not None and line.is_upper_bound for line in lines):
        handles.append(Line2D([], [], **_BOUND, label="published as at most"))
    if any(row.null is not None for row in rows):
        handles.append(Patch(color=_BAND, label="null: mean to 95 % quantile"))
    return handles
