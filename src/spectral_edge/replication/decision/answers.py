"""Answer the questions about directions from the gathered tables: reproduces, exists, specific."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectral_edge.replication.decision.arms import ARMS
from spectral_edge.replication.decision.contrasts import (
    agreement_contrasts,
    declines,
    gap_contrasts,
    inherited_contrasts,
    mean_of_means,
    of_common_seeds,
)
from spectral_edge.replication.decision.protocol import Protocol, Question
from spectral_edge.replication.decision.rules import (
    Decision,
    ThreeWay,
    combined,
    decide,
    decide_bound,
    most_have_it,
    prediction_interval,
    reproduces,
)
from spectral_edge.replication.decision.tables import gathered

if TYPE_CHECKING:
    import polars

__all__ = [
    "LOGARITHMIC",
    "UPPER_BOUND_SLACK",
    "QuestionAnswer",
    "RerunPlacement",
    "answer_of_runs",
    "answer_question",
    "answers_of",
    "claim_answers",
    "excesses",
    "gathered_arms",
    "replaced_in",
    "rows_of",
]

Floats = NDArray[np.float64]

_OPEN: ThreeWay = "undecided"
_BOUND = "below "
_ABSENT = "above inputs by less than the margin"
_BEYOND = "v1-theta"
_OF_RUNS = ("C1", "C2", "C11")
# Ratios and concentrations have skewed laws.
LOGARITHMIC = ("concentration", "peakedness:script", "largest concentration of five bases")
"""Statistics whose prediction interval is taken of logarithms, so that its upper end may lie above 1."""
UPPER_BOUND_SLACK = 0.025
"""What reruns may have above a printed upper bound: half of the range that the paper prints for C9."""


@dataclass(frozen=True)
class RerunPlacement:
    """Whether the published number and frequency lie among reruns.

    Attributes:
        answer: of both together; ``None`` where the paper prints neither, or no rerun is measured.
        low, high: prediction interval of one more rerun.
        mean: of the reruns.
        null_mean: of ``null``.
        with_peak: reruns that have the published frequency, or lie below a published bound; ``None`` where neither is
            published.
        n: reruns.
        null: what the reruns are told apart from: isotropic directions, for C1 runs without weight decay.
    """

    answer: ThreeWay | None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    null_mean: float | None = None
    with_peak: int | None = None
    n: int = 0
    null: str = "isotropic"


@dataclass(frozen=True)
class QuestionAnswer:
    """The answers to one question.

    Attributes:
        question: what was asked.
        reproduces: the published number among reruns.
        exists: against permuted inputs, or a bound.
        specific: against the strongest null.
        by_null: against each null by itself.
        beyond_weights: of v1 without its part along θ, against directions without one.
    """

    question: Question
    reproduces: RerunPlacement
    exists: Decision
    specific: Decision
    by_null: dict[str, Decision]
    beyond_weights: Decision | None

    @property
    def strongest_null(self) -> str:
        """Its name."""
        return list(self.by_null)[self.specific.strongest]


def answer_question(question: Question, rows: polars.DataFrame, protocol: Protocol) -> QuestionAnswer:
    """Answer a question about directions.

    Args:
        question: of one task.
        rows: gathered rows of the arms seeds, copies and paper_seed.
        protocol: rules.

    Raises:
        ValueError: no row of the seeds has this statistic; names it.
    """
    fresh = _fresh(rows)
    over = {null: excesses(question, fresh, null) for null in question.specific}
    by_null = {null: decide(_values(found), question.margin, protocol) for null, found in over.items()}
    seeds = sorted(set.intersection(*(set(found) for found in over.values())))
    common = np.array([[found[seed] for seed in seeds] for found in over.values()])
    beyond = None
    if "weights" in question.specific and question.direction in ("edge", "v1"):
        beyond = decide(_values(excesses(question, fresh, "weights", _BEYOND)), question.margin, protocol)
    return QuestionAnswer(
        question,
        _reproduction(question, _of_arms(rows, ("hybrid",)), protocol),
        _exists(question, fresh, protocol),
        decide(common, question.margin, protocol),
        by_null,
        beyond,
    )


def excesses(question: Question, rows: polars.DataFrame, null: str, direction: str | None = None) -> dict[int, float]:
    """One excess a seed over a null: the mean over the edge's directions, then over copies.

    Args:
        question: which statistic, and which way it points.
        rows: of fresh seeds and copies.
        null: its name.
        direction: a direction in place of the question's.

    Raises:
        ValueError: there are none.
    """
    import polars

    own = rows_of(question, rows, direction).filter(null=null)
    if own.is_empty():
        raise ValueError(
            f"{question.claim}, {question.task}: no seed has {question.statistic} against {null!r}; measure its arm"
        )
    sign = 1 if question.alternative == "greater" else -1
    excess = sign * (polars.col("measured") - polars.col("null_mean"))
    if question.unit == "null SD":
        excess = excess / polars.col("null_std")
    return mean_of_means(own, "seed", "copy", excess)


def _values(found: dict[int, float]) -> Floats:
    return np.array(list(found.values()))


def _exists(question: Question, rows: polars.DataFrame, protocol: Protocol) -> Decision:
    if question.exists.startswith(_BOUND):
        import polars

        own = rows_of(question, rows).filter(null="isotropic")
        values = _values(mean_of_means(own, "seed", "copy", polars.col("measured")))
        return decide_bound(values, float(question.exists.removeprefix(_BOUND)), protocol)
    if question.exists == _ABSENT:
        present = excesses(question.model_copy(update={"alternative": "greater"}), rows, "inputs")
        return _reversed(decide(_values(present), question.margin, protocol))
    return decide(_values(excesses(question, rows, question.exists)), question.margin, protocol)


def _reversed(decision: Decision) -> Decision:
    """Of a claim of an absence: its yes is the other's no, and what speaks for the presence counts against it."""
    other: dict[ThreeWay, ThreeWay] = {"yes": "no", "no": "yes", "undecided": "undecided"}
    return replace(decision.negated, answer=other[decision.answer], before=other[decision.before])


def _reproduction(question: Question, rows: polars.DataFrame, protocol: Protocol) -> RerunPlacement:
    """Of the hybrid arm."""
    published = question.published
    if published is None or rows.is_empty():
        return RerunPlacement(None)
    own = rows_of(question.as_printed, rows).filter(null="isotropic").sort("seed", "copy", "direction")
    if own.is_empty():
        return RerunPlacement(None)
    import polars

    members = (
        own.group_by("copy", maintain_order=True)
        .agg(polars.col("measured", "null_mean").mean(), polars.col("peak").first())
        .sort("copy")
    )
    values, null_mean = members["measured"].to_numpy(), float(members["null_mean"].mean())  # type: ignore[arg-type]
    n = len(values)
    if question.exists == _ABSENT:  # the paper prints an upper bound
        below = int((values <= published + UPPER_BOUND_SLACK).sum())
        mean = float(values.mean())
        return RerunPlacement(most_have_it(below, n, protocol), mean=mean, null_mean=null_mean, with_peak=below, n=n)
    logs = question.statistic in LOGARITHMIC
    scaled = np.log(values) if logs else values
    number, null = np.log([published, null_mean]) if logs else (published, null_mean)
    answers = [reproduces(float(number), scaled, float(null), protocol)]
    low, high = prediction_interval(scaled, protocol.prediction) if n > 1 else (None, None)
    with_peak = None
    if question.peaks:
        with_peak = int(members["peak"].is_in(list(question.peaks)).sum())
        answers.append(most_have_it(with_peak, n, protocol))
    ends = [None if end is None else float(np.exp(end)) if logs else end for end in (low, high)]
    return RerunPlacement(combined(answers), ends[0], ends[1], float(values.mean()), null_mean, with_peak, n)


def rows_of(question: Question, rows: polars.DataFrame, direction: str | None = None) -> polars.DataFrame:
    """The rows of a question's statistic and directions, of all runs, checkpoints of the question only."""
    import polars

    wanted = (
        (polars.col("task") == question.task)
        & (polars.col("checkpoint") == question.checkpoint)
        & (polars.col("statistic") == question.statistic)
    )
    if question.statistic != "head_purity":
        wanted &= polars.col("inputs") == question.inputs
    if question.grouping is not None:
        wanted &= polars.col("grouping") == question.grouping
    found = rows.filter(wanted)
    if direction is not None:
        return found.filter(direction=direction)
    if question.direction == "edge":
        number = polars.col("direction").str.extract(r"^v(\d+)$").cast(polars.Int64, strict=False)
        return found.filter(number <= polars.min_horizontal(polars.col("position"), 3))
    names = {"mean(v1..v3)": ["v1", "v2", "v3"]}.get(question.direction, [question.direction])
    return found.filter(polars.col("direction").is_in(names))


def _fresh(rows: polars.DataFrame) -> polars.DataFrame:
    """Rows that decide *exists* and *specific*."""
    return _of_arms(rows, ("seeds", "copies", "trunk"))


def _of_arms(rows: polars.DataFrame, arms: Sequence[str]) -> polars.DataFrame:
    import polars

    return rows.filter(polars.col("arm").is_in(list(arms)))


def answer_of_runs(
    question: Question, series: polars.DataFrame | None, rows: polars.DataFrame | None, protocol: Protocol
) -> QuestionAnswer | None:
    """Answer a question about runs: C1 and C2 from their series, C11 from rows; ``None`` while runs are missing."""
    table = rows if question.claim == "C11" else series
    if table is None:
        return None
    contrasts = {"C1": gap_contrasts, "C2": agreement_contrasts, "C11": inherited_contrasts}
    found = contrasts[question.claim](table)
    if any(null not in found for null in (question.exists, *question.specific)):
        return None
    by_null = {null: decide([found[null]], question.margin, protocol) for null in question.specific}
    printed = RerunPlacement(None)
    if question.claim == "C1":
        printed = _printed_decline(question, table, protocol)
    specific = decide(of_common_seeds([found[null] for null in question.specific]), question.margin, protocol)
    exists = decide([found[question.exists]], question.margin, protocol)
    return QuestionAnswer(question, printed, exists, specific, by_null, None)


def _printed_decline(question: Question, series: polars.DataFrame, protocol: Protocol) -> RerunPlacement:
    """The published decline among copies of the paper's seed.

    40 is the arithmetic mean of ratios, so a member is the logarithm of the mean ratio of a copy's operations, and so
    is the null's mean, that of the runs without weight decay. Copies that lack an operation are left out.
    """
    import polars

    table = declines(series).with_columns(ratio=polars.col("decline").exp())
    own = table.filter((polars.col("arm") == "paper_seed") & polars.col("generalises"))
    by_copy = own.group_by("copy", maintain_order=True).agg(polars.col("ratio").mean(), polars.len()).sort("copy")
    whole = by_copy.filter(polars.col("len") == own["task"].n_unique())
    controls = table.filter((polars.col("arm") == "controls") & (polars.col("weight_decay") == 0))["ratio"]
    if len(whole) < 2 or question.published is None or controls.is_empty():
        return RerunPlacement(None)
    members, null_mean = np.log(whole["ratio"].to_numpy()), float(np.log(controls.to_numpy().mean()))
    answer = reproduces(question.published, members, null_mean, protocol)
    low, high = prediction_interval(members, protocol.prediction)
    return RerunPlacement(answer, low, high, float(members.mean()), null_mean, None, len(members), "no weight decay")


def claim_answers(questions: Sequence[Question], answers: Sequence[QuestionAnswer]) -> dict[str, ThreeWay | None]:
    """The three answers to a claim: yes if all of its tasks say yes, no if one says no.

    A task that is not measured yet, or whose published number has no reruns yet, is undecided; *reproduces* is ``None``
    where no task has a published number that reruns could be asked for.

    Args:
        questions: all of the claim.
        answers: to those of them that are measured.
    """
    by_task = {answer.question.task: answer for answer in answers}
    measured = [by_task.get(question.task) for question in questions]
    printed = [by_task.get(question.task) for question in questions if question.has_reruns]
    return {
        "reproduces": combined([(one.reproduces.answer if one else None) or _OPEN for one in printed])
        if printed
        else None,
        "exists": combined([one.exists.answer if one else _OPEN for one in measured]),
        "specific": combined([one.specific.answer if one else _OPEN for one in measured]),
    }


def replaced_in(kept: Path, protocol: Protocol) -> dict[str, int]:
    """Which seed of which operation was replaced by which, of the gathered tables.

    Raises:
        StoreError: a table is damaged or of another protocol.
    """
    rows = gathered_arms(kept, ".series", protocol)
    if rows is None or "trained_seed" not in rows.columns:
        return {}
    pairs = rows.select("task", "seed", "trained_seed").unique().sort("task", "seed").iter_rows()
    return {f"{task} {seed}": own for task, seed, own in pairs if seed != own}


def answers_of(kept: Path, protocol: Protocol) -> list[QuestionAnswer]:
    """Answer every question that the gathered tables can answer, in the order of the protocol.

    Raises:
        StoreError: a table is damaged or of another protocol.
    """
    rows = gathered_arms(kept, "", protocol)
    series = gathered_arms(kept, ".series", protocol)
    found = []
    for question in protocol.questions:
        if question.claim in _OF_RUNS:
            answer = answer_of_runs(question, series, rows, protocol)
        else:
            answer = None
            if rows is not None and not rows_of(question, _fresh(rows)).is_empty():
                answer = answer_question(question, rows, protocol)
        found += [] if answer is None else [answer]
    return found


def gathered_arms(kept: Path, kind: str, protocol: Protocol) -> polars.DataFrame | None:
    """The tables of all arms of one kind (``""``, ``".series"``, ``".sensitivity"``) as one; ``None`` if none is."""
    paths = [path for arm in ARMS if (path := kept / f"{arm}{kind}.parquet").exists()]
    return gathered(paths, protocol) if paths else None
