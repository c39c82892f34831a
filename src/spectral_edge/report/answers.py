"""The answers as text: sentences, a table, and the cells of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from spectral_edge.replication.claims.question import null_name
from spectral_edge.report.formatting import DASH, mark, measurement, number, plural
from spectral_edge.report.markdown import escape, table
from spectral_edge.report.tables import Column
from spectral_edge.store import Answer

__all__ = ["EFFECT_COLUMNS", "EffectLine", "answers_frame", "answers_table", "effect_lines", "effect_text", "outcomes"]


class EffectLine(NamedTuple):
    """One null of a claim in one task."""

    task: str
    null: str
    effect: str
    n: int
    unit: str
    answer: str


EFFECT_COLUMNS = (
    Column("task", lambda line: line.task, numeric=False),
    Column("against", lambda line: line.null, numeric=False),
    Column("excess [90 % interval]", lambda line: line.effect),
    Column("unit", lambda line: line.unit, numeric=False),
    Column("seeds", lambda line: str(line.n)),
    Column("answer", lambda line: line.answer, numeric=False),
)


def effect_lines(answer: Answer) -> list[EffectLine]:
    """Return a line a null: those of *specific*, v1 without its part along the weights, and that of *exists*."""
    found = []
    for task in answer.tasks:
        effects = [(null_name(effect.null), effect) for effect in task.effects]
        if task.beyond_weights is not None:
            effects.append(
                ("v1 without its part along the weights: directions orthogonal to them", task.beyond_weights)
            )
        effects.append((f"exists: {null_name(task.existence.null)}", task.existence))
        for name, effect in effects:
            strongest = " (strongest)" if name == null_name(task.strongest_null) else ""
            text = _interval(effect.effect, effect.low, effect.high)
            found.append(EffectLine(task.task, name + strongest, text, effect.n, task.unit, effect.answer))
    return found


def outcomes(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """Return headings with the claims that came out so, by what they say about the edge: special, not, undecided."""
    if not answers:
        return []
    groups: dict[str, list[Answer]] = {"yes": [], "no": [], "undecided": [], "none": []}
    for answer in answers:
        groups[answer.specific or "none"].append(answer)
    found = [
        ("Special to the edge.", "beats every matched null", "beat every matched null", groups["yes"]),
        (
            "Not special to the edge.",
            "does not beat every matched null",
            "do not beat every matched null",
            groups["no"],
        ),
        ("Undecided.", "is open", "are open", groups["undecided"]),
        ("Not asked.", "has no answer of its own", "have no answer of their own", groups["none"]),
    ]
    return [
        (heading, f"{plural(len(group), 'claim')} {one if len(group) == 1 else several}: {_names(group)}.")
        for heading, one, several, group in found
        if group
    ]


def _names(answers: Sequence[Answer]) -> str:
    return "; ".join(f"{answer.statement} ({answer.claim})" for answer in answers)


def effect_text(answer: Answer) -> str:
    """Return the excess over the strongest null with interval and unit, or a dash: ``0.032 [−0.008, 0.071] F``."""
    if answer.effect is None:
        return DASH
    return f"{_interval(answer.effect, answer.low, answer.high)} {answer.unit or ''}".strip()


def _interval(effect: float, low: float | None, high: float | None) -> str:
    """Effect and ends to one decimal place, that of the second digit of half the interval's width."""
    if low is None or high is None or not high > low:
        return measurement(effect, 2)
    places = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    middle, *ends = (f"{value:.{places}f}".replace("-", "−") for value in (effect, low, high))
    return f"{middle} [{', '.join(ends)}]"


def answers_table(answers: Sequence[Answer], *, link: str | None = None) -> str:
    """Return a Markdown line a claim; ``link`` is a pattern such as ``"claims/{}.md"`` for the claim's name."""
    rows = []
    for answer in answers:
        name = escape(answer.claim) if link is None else f"[{escape(answer.claim)}]({link.format(answer.claim)})"
        null = DASH if answer.strongest_null is None else escape(null_name(answer.strongest_null))
        words = [mark(value).word or DASH for value in (answer.reproduces, answer.exists, answer.specific)]
        seeds = f"{answer.n} of {answer.planned}" if not answer.final else number(answer.n or None)
        repeat = DASH if answer.repeat is None else f"{answer.repeat_of} {100 * answer.repeat:.0f} %"
        rows.append([name, escape(answer.statement), *words, escape(effect_text(answer)), null, seeds, repeat])
    headings = ["claim", "statement", "reproduces", "exists", "specific", "excess", "over", "seeds", "would repeat"]
    return table(headings, rows)


def answers_frame(answers: Sequence[Answer]) -> pl.DataFrame:
    """Return one line a claim with the fields of an answer, without what is known a task."""
    names = [name for name in Answer.model_fields if name != "tasks"]
    return pl.DataFrame([pl.Series(name, [getattr(a, name) for a in answers], strict=False) for name in names])
