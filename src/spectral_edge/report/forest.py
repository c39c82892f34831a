"""The answers in one figure: excesses of each claim's number over nulls, in units of its margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spectral_edge.replication.claims.question import null_name
from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import statistic_label
from spectral_edge.store import Answer, Effect, TaskAnswer

__all__ = ["draw_answers", "draw_forest"]

_LOW, _HIGH = -3.0, 5.0
"""In margins; what lies beyond is drawn at the edge, with an arrow."""
_COLOURS = {"yes": SERIES[2].colour, "no": SERIES[1].colour, "undecided": GREY}
_MARKERS = {"yes": "s", "no": "X", "undecided": "o"}
_LINE_HEIGHT, _WIDTH = 0.19, 9.2
_ANSWER_HEIGHT, _ANSWER_WIDTH = 0.36, 7.0
_CAPTION = (
    "Each mark is the mean excess over seeds of a claim’s primary number over one null, divided by the claim’s "
    "margin, with its 90 % interval. At 0 the edge is like the null; from 1 on the excess is worth the name."
)
_NAMES = {"yes": "Square: yes.", "no": "Cross: no.", "undecided": "Circle: undecided."}
_ANSWERS_CAPTION = (
    "Mean excess over seeds of each claim’s primary number over its strongest null, divided by the claim’s margin, "
    "with its 90 % interval. At 0 the edge is like the null. Square: yes, it is special. Cross: no. Circle: undecided. "
    "Of a claim of several tasks, the one furthest from a yes."
)


@dataclass(frozen=True)
class _Line:
    label: str
    effect: Effect | None = None
    margin: float = 1.0
    decides: bool = False
    beyond: bool = False
    margin_text: str = ""


def draw_forest(answers: Sequence[Answer]) -> Drawing:
    """Draw every measured claim, one line a null; claims of several tasks have a group a task."""
    measured = [answer for answer in answers if answer.tasks]
    missing = [f"{answer.claim}: {answer.because}" for answer in answers if not answer.tasks]
    sources = [f"{answer.claim}: {answer.n} of {answer.planned} seeds of the decision" for answer in measured]
    return Drawing(
        "forest",
        "The answers: excess over each null",
        _caption(_lines(measured)),
        _figure(_lines(measured)) if measured else None,
        tuple(sources),
        tuple(missing),
    )


def _caption(lines: Sequence[_Line]) -> str:
    """Explain the marks that are drawn, and no others."""
    drawn = [line for line in lines if line.effect is not None]
    answers = {line.effect.answer for line in drawn if line.effect is not None}
    parts = [_CAPTION, *(text for answer, text in _NAMES.items() if answer in answers)]
    if any(line.decides for line in drawn):
        parts.append("Bold: the strongest null, which decides.")
    if any(line.beyond for line in drawn):
        parts.append("Open marks: v1 without its part along the weights.")
    parts.append(
        "The lowest line of a group asks whether the effect exists at all: against permuted inputs, a bound, or other "
        "runs."
    )
    if any(line.label.startswith("C9") for line in lines):
        parts.append("For C9 that line asks whether there is nothing above permuted inputs.")
    if any(_runs_on(line) for line in drawn):
        parts.append("An arrow marks a value or an interval that runs on.")
    return " ".join(parts)


def _ends(line: _Line) -> list[float]:
    effect = line.effect
    ends = () if effect is None else (effect.low, effect.effect, effect.high)
    return [end / line.margin for end in ends if end is not None]


def _runs_on(line: _Line) -> bool:
    ends = _ends(line)
    return bool(ends) and (min(ends) < _LOW or max(ends) > _HIGH)


def draw_answers(answers: Sequence[Answer]) -> Drawing:
    """Draw one line a claim: its excess over the null that decides."""
    lines, sources = [], []
    for answer in answers:
        if answer.specific is None or answer.effect is None or answer.strongest_null is None:
            continue
        task = _deciding(answer)
        where = "" if task.task == "all" else f", {task.task}"
        label = f"{answer.claim}{where}: {statistic_label(task.statistic)}\nover {null_name(answer.strongest_null)}"
        effect = Effect(
            null=answer.strongest_null, effect=answer.effect, low=answer.low, high=answer.high, n=answer.n,
            answer=answer.specific,
        )  # fmt: skip
        lines.append(_Line(label, effect, task.margin))
        sources.append(f"{answer.claim}: {answer.n} of {answer.planned} seeds")
    figure = _figure(lines, _ANSWER_WIDTH, _ANSWER_HEIGHT) if lines else None
    return Drawing("answers", "The answers, one line a claim", _ANSWERS_CAPTION, figure, tuple(sources), ())


def _deciding(answer: Answer) -> TaskAnswer:
    """The task furthest from a yes, which the answer is of: with its answer and its null, lowest in its margin."""
    candidates = [task for task in answer.tasks if task.strongest_null == answer.strongest_null]
    agreeing = [task for task in candidates if task.specific == answer.specific]
    return min(agreeing or candidates, key=lambda task: min(effect.effect / task.margin for effect in task.effects))


def _lines(answers: Sequence[Answer]) -> list[_Line]:
    found = []
    for answer in answers:
        for task in answer.tasks:
            name = "" if task.task == "all" else f", {task.task}"
            found.append(_Line(f"{answer.claim}{name}: {statistic_label(task.statistic)}", margin_text=_margin(task)))
            found += [
                _Line(null_name(effect.null), effect, task.margin, effect.null == task.strongest_null)
                for effect in task.effects
            ]
            if task.beyond_weights is not None:
                found.append(
                    _Line("v1 without its part along the weights", task.beyond_weights, task.margin, beyond=True)
                )
            found.append(_Line(f"exists: {null_name(task.existence.null)}", task.existence, task.margin))
    return found


def _figure(lines: Sequence[_Line], width: float = _WIDTH, line_height: float = _LINE_HEIGHT) -> Figure:
    with style():
        figure = Figure(figsize=(width, line_height * len(lines) + 1.2), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(1, _HIGH, color="#eef5f0", zorder=0)
        axes.axvline(0, color=INK, lw=0.8, zorder=1)
        axes.axvline(1, color=INK, lw=0.8, ls=(0, (4, 3)), zorder=1)
        for place, line in enumerate(lines):
            if line.effect is not None:
                _draw(axes, -place, line, line.effect)
            axes.text(_HIGH, -place, plain(line.margin_text), ha="right", va="center", fontsize=7.5, color=GREY)
        axes.set_xlim(_LOW, _HIGH)
        axes.set_ylim(-len(lines) + 0.3, 0.7)
        axes.set_yticks([-place for place in range(len(lines))], [plain(line.label) for line in lines])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for label, line in zip(axes.get_yticklabels(), lines, strict=True):
            label.set_fontweight("bold" if line.effect is None or line.decides else "normal")
        axes.set_xlabel("mean excess / margin")
        figure.legend(handles=_legend(), loc="outside upper center", ncols=4, fontsize=8)
        return settle(figure)


def _draw(axes: Axes, place: float, line: _Line, effect: Effect) -> None:
    colour = _COLOURS[effect.answer]
    middle, low, high = (None if end is None else end / line.margin for end in (effect.effect, effect.low, effect.high))
    assert middle is not None
    ends = _ends(line)
    if low is not None and high is not None:
        left, right = (min(max(end, _LOW), _HIGH) for end in (low, high))
        axes.hlines(place, left, right, color=colour, lw=1.8 if line.decides else 1.1, zorder=3)
    for runs_on, edge, marker in ((min(ends) < _LOW, _LOW, "<"), (max(ends) > _HIGH, _HIGH, ">")):
        if runs_on:
            axes.plot(edge, place, marker=marker, color=colour, ms=5, clip_on=False, zorder=4)
    face = "white" if line.beyond else colour
    if _LOW <= middle <= _HIGH:
        axes.plot(middle, place, **_mark(effect.answer, colour, face))


def _margin(task: TaskAnswer) -> str:
    return f"margin {task.margin:g} {task.unit}"


def _mark(answer: str, colour: str, face: str) -> dict[str, Any]:
    return {
        "marker": _MARKERS[answer], "ms": 6, "ls": "none", "markeredgecolor": colour, "markerfacecolor": face,
        "zorder": 5,
    }  # fmt: skip


def _legend() -> list[Line2D]:
    marks = [Line2D([], [], label=answer, **_mark(answer, colour, colour)) for answer, colour in _COLOURS.items()]
    return [*marks, Line2D([], [], color=INK, lw=0.8, ls=(0, (4, 3)), label="margin")]
