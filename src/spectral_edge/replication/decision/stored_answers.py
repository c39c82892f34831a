"""Turn the answers to questions into one stored answer a claim, with its reasons in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.replication.claims.question import null_name
from spectral_edge.replication.decision.answers import LOGARITHMIC, UPPER_BOUND_SLACK, QuestionAnswer, claim_answers
from spectral_edge.replication.decision.arms import planned_seeds
from spectral_edge.replication.decision.protocol import Protocol, Question
from spectral_edge.replication.decision.rules import Decision, ThreeWay, most_have_it
from spectral_edge.store import Answer, Effect, TaskAnswer

__all__ = ["stored_answers"]

_FURTHEST: Mapping[ThreeWay, int] = {"no": 0, "undecided": 1, "yes": 2}
_NOT_ASKED = {
    "C13": "The claim has no number that could refute it: the strongest frequencies of any two directions overlap, and "
    "a mixture's response is the mixture of the responses.",
    "C14": "This claim is the summary of C6, C7, C8 and C10 and has no answer of its own.",
}


def stored_answers(answers: Sequence[QuestionAnswer], protocol: Protocol) -> list[Answer]:
    """One answer a claim, C1 … C14, in order.

    Args:
        answers: to the questions that the tables can answer.
        protocol: that asked them; claims whose runs are not measured are undecided, with no seeds.
    """
    found = []
    for claim, statement in STATEMENTS.items():
        questions = [question for question in protocol.questions if question.claim == claim]
        own = [answer for answer in answers if answer.question.claim == claim]
        if questions:
            found.append(_of_claim(claim, statement, questions, own, protocol))
        else:
            none = {"reproduces": None, "exists": None, "specific": None}
            found.append(Answer(claim=claim, statement=statement, because=_NOT_ASKED[claim], **none))
    return found


def _of_claim(
    claim: str, statement: str, questions: Sequence[Question], answers: Sequence[QuestionAnswer], protocol: Protocol
) -> Answer:
    missing = [question.task for question in questions if question.task not in {a.question.task for a in answers}]
    n = 0 if missing else min(min(answer.exists.n, answer.specific.n) for answer in answers)
    return Answer(
        claim=claim,
        statement=statement,
        **claim_answers(questions, answers),
        **_weakest(answers),
        n=n,
        because=" ".join([*_reasons(answers, protocol), *_what_is_missing(n, planned_seeds(claim), missing)]),
        planned=planned_seeds(claim),
        tasks=[_of_task(answer) for answer in answers],
    )


def _furthest_from_a_yes(answers: Sequence[QuestionAnswer]) -> QuestionAnswer:
    return min(answers, key=lambda a: (_FURTHEST[a.specific.answer], a.specific.effect / a.question.margin))


def _decides_reproduces(answers: Sequence[QuestionAnswer], otherwise: QuestionAnswer) -> QuestionAnswer:
    """The first task with the answer of all of them."""
    asked = [answer for answer in answers if answer.reproduces.answer is not None]
    return min(asked, key=lambda a: _FURTHEST[a.reproduces.answer or "yes"], default=otherwise)


def _weakest(answers: Sequence[QuestionAnswer]) -> dict[str, Any]:
    """The effect of the task that is furthest from a yes, with how still its answer holds; nothing if none is there."""
    if not answers:
        return {}
    weakest = _furthest_from_a_yes(answers)
    found = {name: getattr(weakest.specific, name) for name in ("effect", "low", "high", "repeat")}
    return found | {
        "repeat_of": None if weakest.specific.repeat is None else weakest.specific.before,
        "strongest_null": weakest.strongest_null,
        "unit": weakest.question.unit,
    }


def _of_task(answer: QuestionAnswer) -> TaskAnswer:
    question, printed = answer.question, answer.reproduces
    return TaskAnswer(
        task=question.task,
        statistic=question.statistic,
        grouping=question.grouping,
        inputs=question.inputs,
        checkpoint=question.checkpoint,
        direction=question.direction,
        definition=question.definition,
        margin=question.margin,
        unit=question.unit,
        reproduces=printed.answer,
        exists=answer.exists.answer,
        specific=answer.specific.answer,
        strongest_null=answer.strongest_null,
        repeat=answer.specific.repeat,
        contradictions=answer.specific.contradictions,
        published=question.published,
        published_peaks=list(question.peaks),
        rerun_low=printed.low,
        rerun_high=printed.high,
        rerun_mean=printed.mean,
        rerun_null_mean=printed.null_mean,
        with_peak=printed.with_peak,
        reruns=printed.n,
        existence=_effect(question.exists, answer.exists),
        effects=[_effect(null, decision) for null, decision in answer.by_null.items()],
        beyond_weights=None if answer.beyond_weights is None else _effect("weights", answer.beyond_weights),
    )


def _effect(null: str, decision: Decision) -> Effect:
    return Effect(
        null=null, effect=decision.effect, low=decision.low, high=decision.high, n=decision.n, answer=decision.answer
    )


def _reasons(answers: Sequence[QuestionAnswer], protocol: Protocol) -> list[str]:
    """Sentences on the task furthest from a yes: against its strongest null, what exists, beside the published one."""
    if not answers:
        return []
    answer = _furthest_from_a_yes(answers)
    question, specific, exists = answer.question, answer.specific, answer.exists
    found = [f"Of the tasks measured, {question.task} is furthest from a yes."] if len(answers) > 1 else []
    seeds = "1 seed" if specific.n == 1 else f"{specific.n} seeds"
    found.append(
        f"Over {seeds} the excess over {null_name(answer.strongest_null)}, the strongest null, is "
        f"{_interval(specific)} {question.unit}; the margin is {question.margin:g}."
    )
    if question.exists.startswith("below "):
        found.append(f"The number lies {question.exists} by {_interval(exists)}.")
    elif question.exists.startswith("above inputs"):
        found.append(f"The number lies above permuted inputs by {_interval(exists.negated)}.")
    else:
        found.append(f"The excess over {null_name(question.exists)} is {_interval(exists)}.")
    found += _beside_the_paper(_decides_reproduces(answers, answer), protocol, alone=len(answers) == 1)
    for name, decision in (("Specific", specific), ("Exists", exists)):
        if decision.answer != decision.before:
            found.append(f"{name} would be {decision.before}, but other seeds would often answer otherwise.")
    return found


def _what_is_missing(n: int, planned: int, missing: Sequence[str]) -> list[str]:
    if missing == ["all"] or (missing and n == 0 and len(missing) == 1):
        return ["The runs that this claim needs are not all measured yet."]
    if missing:
        return [f"Not measured yet: {', '.join(missing)}."]
    return [f"So far {n} of {planned} seeds are measured: this answer is not final."] if n < planned else []


def _interval(decision: Decision) -> str:
    ends = "" if decision.low is None or decision.high is None else f" [{decision.low:.2g}, {decision.high:.2g}]"
    return f"{decision.effect:.2g}{ends}".replace("-", "−")


def _beside_the_paper(answer: QuestionAnswer, protocol: Protocol, *, alone: bool) -> list[str]:
    question, printed = answer.question, answer.reproduces
    if question.published is None:
        return ["The paper prints no number for this claim."]
    if printed.answer is None:
        return [_unasked(question)]
    found = [] if alone else [f"The published number of {question.task} decides whether the claim reproduces."]
    if printed.low is not None and printed.high is not None:
        null = (
            "" if printed.null_mean is None else f"; the mean of {null_name(printed.null)} is {printed.null_mean:.3g}"
        )
        logs = " (on a log scale)" if question.statistic in LOGARITHMIC else ""
        interval = f"{printed.low:.3g} to {printed.high:.3g}{logs}"
        found.append(f"{_printed(question)}; the 95 % prediction interval of one more rerun is {interval}{null}.")
    elif printed.mean is not None:
        reruns = "1 rerun" if printed.n == 1 else f"{printed.n} reruns"
        found.append(f"{_printed(question)}; the mean of {reruns} is {printed.mean:.2g}.")
    if printed.with_peak is not None:
        what = "the printed frequency" if question.peaks else f"at most {question.published + UPPER_BOUND_SLACK:g}"
        has = "has" if printed.with_peak == 1 else "have"
        counts = (count for count in range(printed.n + 1) if most_have_it(count, printed.n, protocol) == "yes")
        needed = next((f"; a yes needs {count}" for count in counts), "")
        found.append(f"{printed.with_peak} of {printed.n} reruns {has} {what}{needed}.")
    return found


def _unasked(question: Question) -> str:
    if not question.has_reruns:
        return f"{_printed(question)}; its seed has no reruns, so this is not compared."
    return f"{_printed(question)}; the reruns of its seed are not measured yet."


def _printed(question: Question) -> str:
    """The published number; of ratios, whose logarithm is compared, both."""
    if question.exists.startswith("above inputs"):
        return f"The paper prints at most {question.published:g}"
    if question.unit == "log ratio":
        return f"The paper prints {math.exp(question.published or 0):.2g}, whose logarithm is {question.published:g}"
    if question.direction == "mean(v1..v3)-mean(v4..v8)":
        return f"The paper's ranges differ by {question.published:g}"
    if question.published_statistic == "r2:cross":
        return f"The paper prints {question.published:g}, an R² in sample"
    return f"The paper prints {question.published:g}"
