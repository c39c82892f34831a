"""Turn the answers to questions into one stored answer a claim, with its reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.replication.decision.answers import Answer as QuestionAnswer
from spectral_edge.replication.decision.answers import claim_answers
from spectral_edge.replication.decision.arms import planned_seeds
from spectral_edge.replication.decision.protocol import Protocol, Question
from spectral_edge.replication.decision.rules import Decision, ThreeWay
from spectral_edge.store import Answer, Effect, TaskAnswer

__all__ = ["stored_answers"]

_FURTHEST: Mapping[ThreeWay, int] = {"no": 0, "undecided": 1, "yes": 2}
_WITHOUT_RERUNS = ("C11", "C12")
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
    asked = {question.claim for question in protocol.questions}
    combined = claim_answers(answers)
    found = []
    for claim, statement in STATEMENTS.items():
        own = [answer for answer in answers if answer.question.claim == claim]
        if claim not in asked:
            none = {"reproduces": None, "exists": None, "specific": None}
            found.append(Answer(claim=claim, statement=statement, because=_NOT_ASKED[claim], **none))
        elif not own:
            found.append(_unmeasured(claim, statement, protocol))
        else:
            found.append(_of_claim(claim, statement, own, combined[claim]))
    return found


def _is_printed(questions: Sequence[Question]) -> bool:
    """Whether the paper prints a number that reruns of its seed can be asked for."""
    return any(q.published is not None and q.claim not in _WITHOUT_RERUNS for q in questions)


def _unmeasured(claim: str, statement: str, protocol: Protocol) -> Answer:
    printed = _is_printed([question for question in protocol.questions if question.claim == claim])
    return Answer(
        claim=claim,
        statement=statement,
        reproduces="undecided" if printed else None,
        exists="undecided",
        specific="undecided",
        because="The runs that this claim needs are not all measured yet.",
        planned=planned_seeds(claim),
    )


def _of_claim(
    claim: str, statement: str, answers: Sequence[QuestionAnswer], combined: Mapping[str, ThreeWay | None]
) -> Answer:
    weakest = min(answers, key=lambda a: (_FURTHEST[a.specific.answer], a.specific.effect / a.question.margin))
    specific = weakest.specific
    return Answer(
        claim=claim,
        statement=statement,
        reproduces=combined["reproduces"] or ("undecided" if _is_printed([a.question for a in answers]) else None),
        exists=combined["exists"],
        specific=combined["specific"],
        effect=specific.effect,
        low=specific.low,
        high=specific.high,
        n=min(min(answer.exists.n, answer.specific.n) for answer in answers),
        repeat=specific.repeat,
        strongest_null=weakest.strongest_null,
        because=" ".join(_reasons(weakest, answers)),
        unit=weakest.question.unit,
        planned=planned_seeds(claim),
        tasks=[_of_task(answer) for answer in answers],
    )


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


def _reasons(answer: QuestionAnswer, answers: Sequence[QuestionAnswer]) -> list[str]:
    """Sentences: against the strongest null, against permuted inputs, beside the published number, what is missing."""
    question, specific, exists = answer.question, answer.specific, answer.exists
    found = []
    if len(answers) > 1:
        found.append(f"Of {len(answers)} tasks, {question.task} is furthest from a yes.")
    found.append(
        f"Over {specific.n} seeds the excess over {_null(answer.strongest_null)}, the strongest null, is "
        f"{_interval(specific)} {question.unit}; the margin is {question.margin:g}."
    )
    if question.exists.startswith("below "):
        found.append(f"The number lies {question.exists} by {_interval(exists)}.")
    elif question.exists.startswith("above inputs"):
        found.append(f"The excess over permuted inputs is {_interval(exists)}.")
    else:
        found.append(f"The excess over {_null(question.exists)} is {_interval(exists)}.")
    found += _beside_the_paper(answer)
    for name, decision in (("Specific", specific), ("Exists", exists)):
        if decision.answer != decision.before:
            found.append(f"{name} would be {decision.before}, but other seeds would often answer otherwise.")
    planned, n = planned_seeds(question.claim), min(exists.n, specific.n)
    if n < planned:
        found.append(f"So far {n} of {planned} seeds are measured: this answer is not final.")
    return found


_IN_WORDS = {
    "isotropic": "random directions",
    "span": "random directions of the window",
    "weights": "random directions with the same cosine to the weights",
    "blocks": "the direction with its entries permuted",
    "inputs": "permuted inputs",
    "random_features": "random features",
    "label_permutation": "permuted labels",
    "update norm": "the decline of the update norm",
    "no weight decay": "runs without weight decay",
}


def _null(name: str) -> str:
    return _IN_WORDS.get(name, name)


def _interval(decision: Decision) -> str:
    ends = "" if decision.low is None or decision.high is None else f" [{decision.low:.2g}, {decision.high:.2g}]"
    return f"{decision.effect:.2g}{ends}".replace("-", "−")


def _beside_the_paper(answer: QuestionAnswer) -> list[str]:
    question, printed = answer.question, answer.reproduces
    if question.published is None:
        return ["The paper prints no number for this claim."]
    if printed.answer is None:
        return [_unasked(question)]
    found = []
    if printed.low is not None and printed.high is not None:
        null = "" if printed.null_mean is None else f"; the mean of the null is {printed.null_mean:.2g}"
        found.append(
            f"The paper prints {question.published:g}; 95 % of reruns lie from {printed.low:.2g} to "
            f"{printed.high:.2g}{null}."
        )
    elif printed.mean is not None:
        bound = "at most " if question.exists.startswith("above inputs") else ""
        reruns = "1 rerun" if printed.n == 1 else f"{printed.n} reruns"
        found.append(f"The paper prints {bound}{question.published:g}; the mean of {reruns} is {printed.mean:.2g}.")
    if printed.with_peak is not None:
        found.append(f"{printed.with_peak} of {printed.n} reruns have the printed frequency.")
    return found


def _unasked(question: Question) -> str:
    if question.claim in _WITHOUT_RERUNS:
        return f"The paper prints {question.published:g}; its seed has no reruns, so this is not compared."
    return f"The paper prints {question.published:g}; the reruns of its seed are not measured yet."
