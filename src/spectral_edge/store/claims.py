"""``claims.json``: the answers to the paper's claims, and the numbers that they rest on."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from spectral_edge.store.records import Document, Frozen
from spectral_edge.store.results import Checkpoint, Inputs

__all__ = [
    "Answer",
    "Claims",
    "Curve",
    "Definition",
    "DerivativeError",
    "Effect",
    "EvidenceRow",
    "NumberKey",
    "PartEffect",
    "PlacedNumber",
    "SensitivityEffect",
    "Spread",
    "TaskAnswer",
    "ThreeWay",
]

ThreeWay = Literal["yes", "no", "undecided"]
Definition = Literal["text", "script", "ours"]


class Effect(Frozen):
    """The excess over one null in one task: its mean over seeds, a 90 % interval, and the answer against it alone."""

    null: str
    effect: float
    low: float | None = None
    high: float | None = None
    n: int = Field(ge=1)
    answer: ThreeWay


class TaskAnswer(Frozen):
    """The answers in one task.

    ``effects`` has one entry a null of *specific*, ``existence`` is the entry of *exists*. ``beyond_weights`` is that
    of v1 without its part along the weights, against directions that have none either. 95 % of reruns of the published
    experiment lie from ``rerun_low`` to ``rerun_high``; ``with_peak`` of ``reruns`` have the published frequency, or
    lie below a published bound.
    """

    task: str
    statistic: str
    grouping: str | None
    inputs: Inputs
    checkpoint: Checkpoint
    direction: str
    definition: Definition
    margin: float
    unit: str
    reproduces: ThreeWay | None
    exists: ThreeWay
    specific: ThreeWay
    strongest_null: str
    repeat: float | None = None
    contradictions: float | None = None
    published: float | None = None
    published_peaks: list[int] = Field(default_factory=list)
    rerun_low: float | None = None
    rerun_high: float | None = None
    rerun_mean: float | None = None
    rerun_null_mean: float | None = None
    with_peak: int | None = None
    reruns: int = 0
    existence: Effect
    effects: list[Effect]
    beyond_weights: Effect | None = None


class Answer(Frozen):
    """The three answers to a claim; ``None`` where a question cannot be asked.

    ``effect``, ``low`` and ``high`` are those of *specific* against ``strongest_null``, in ``unit`` and in the
    direction of the claim, in the task that is furthest from a yes. ``repeat`` is the probability that as many other
    seeds answer *specific* with ``repeat_of``: the answer before those that do not hold still become undecided. ``n``
    is the least number of seeds over tasks, 0 while a task is not measured; fewer than ``planned`` make an answer that
    may change.
    """

    claim: str
    statement: str
    reproduces: ThreeWay | None
    exists: ThreeWay | None
    specific: ThreeWay | None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    repeat: float | None = None
    repeat_of: ThreeWay | None = None
    strongest_null: str | None = None
    because: str
    unit: str | None = None
    planned: int = 0
    tasks: list[TaskAnswer] = Field(default_factory=list)

    @property
    def final(self) -> bool:
        """Whether all planned seeds are in."""
        return self.n >= self.planned


class EvidenceRow(Frozen):
    """One measured number beside one null.

    effect = (measured - null_mean)/null_std. ``pvalue`` is one-sided in the direction of the claim;
    ``pvalue_adjusted`` is its Benjamini-Hochberg value over the runs of the same claim, task, null and kind of
    direction. Both are ``None`` where the null is another number of the run itself, or that of other runs.
    """

    claim: str
    run: str
    task: str
    seed: int
    copy_: int = Field(0, alias="copy")
    weight_decay: float
    step: int | None
    checkpoint: Checkpoint | None
    stride: int
    window: int
    centered: bool
    method: Literal["jvp"] | None
    definition: Definition
    grouping: str | None
    inputs: Inputs
    direction: str
    statistic: str
    null: str
    measured: float
    null_mean: float
    null_std: float | None = None
    null_quantile95: float | None = None
    effect: float | None = None
    pvalue: float | None = None
    pvalue_adjusted: float | None = None
    draws: int | None = None
    peak: int | None = None
    published: float | None = None


class NumberKey(Frozen):
    """Which number of a run: a statistic of a direction, or of the run where there is no direction."""

    task: str
    statistic: str
    grouping: str | None = None
    inputs: Inputs = "all"
    direction: str | None = None


class Spread(NumberKey):
    """How a number varies over independent runs: where one more run lies with a probability of 95 %."""

    n: int = Field(ge=2)
    mean: float
    low: float
    high: float
    logarithmic: bool


class PlacedNumber(Frozen):
    """A number of a new run inside the spread of stored ones."""

    run: str
    seed: int
    measured: float
    spread: Spread

    @property
    def inside(self) -> bool:
        """Whether it lies in the interval."""
        return self.spread.low <= self.measured <= self.spread.high


class Curve(Frozen):
    """A quantity over training: median and quartiles over ``n`` runs of a task, by steps before (≤ 0) the stop."""

    task: str
    quantity: str
    steps_before_stop: list[int]
    median: list[float]
    low: list[float]
    high: list[float]
    n: int = Field(ge=1)


class PartEffect(Frozen):
    """The mean excess over a null, with a 90 % interval, of a direction beside the edge: of θ, or of a part."""

    task: str
    statistic: str
    direction: str
    null: str
    effect: float
    low: float
    high: float
    n: int = Field(ge=2)


class SensitivityEffect(Frozen):
    """The excess of a claim's number in one setting of the edge, over the stronger of the nulls that are had there.

    ``answer`` is what the protocol's rule says of *specific*, with 90 % interval and as many seeds as have the setting.
    """

    claim: str
    task: str
    checkpoint: Checkpoint
    stride: int
    window: int
    centered: bool
    null: str
    effect: float
    low: float | None
    high: float | None
    n: int = Field(ge=1)
    answer: ThreeWay
    margin: float
    unit: str


class DerivativeError(Frozen):
    """|number under the difference quotient - number under the derivative|, over the directions of n runs."""

    task: str
    statistic: str
    checkpoint: Checkpoint
    relative_epsilon: float
    median: float
    largest: float
    n: int = Field(ge=1)


class Claims(Document):
    """The whole of ``claims.json``.

    ``rows`` are those behind an answer, each the edge's number beside that of a null; of everything else there are
    tables beside the file. In the file of the decision itself, ``spreads`` says how each number varies over seeds,
    ``curves`` and ``parts`` what of the edge is weight decay, ``sensitivity`` and ``derivative_errors`` how far the
    answers hang on settings; in that of a reproduction, ``placed`` says where its numbers lie. ``environment`` and
    ``wall_seconds`` are those of the command that made the file; the runs it reads may be older.
    """

    made_by: ClassVar[str] = "Run `spectral-edge reproduce` first."

    schema_: Literal[2] = Field(2, alias="schema")  # type: ignore[assignment]
    profile: str
    protocol: str
    environment: dict[str, Any]
    wall_seconds: float
    rows: list[EvidenceRow]
    answers: list[Answer]
    spreads: list[Spread] = Field(default_factory=list)
    placed: list[PlacedNumber] = Field(default_factory=list)
    curves: list[Curve] = Field(default_factory=list)
    parts: list[PartEffect] = Field(default_factory=list)
    sensitivity: list[SensitivityEffect] = Field(default_factory=list)
    derivative_errors: list[DerivativeError] = Field(default_factory=list)
