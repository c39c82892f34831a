"""What the analysis of a run leaves behind: rows of numbers, and a summary of the run."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from spectral_edge.store.records import Document, Frozen

__all__ = [
    "Checkpoint",
    "ClaimRow",
    "Inputs",
    "Interval",
    "NullKind",
    "NullSummary",
    "Numbers",
    "PeakNull",
    "RunSummary",
]

Checkpoint = Literal["early", "memorisation", "transition", "stop", "final"]
Inputs = Literal["test", "train", "all", "test_off_diagonal", "all_diagonal_averaged"]
NullKind = Literal[
    "random_directions",  # unit vectors in the same weights at the same step
    "input_permutation",  # which group has which label: whole groups, or whole tokens, exchanged
    "other_phase",  # edge directions of a disjoint window of the same run, applied at this step
    "random_features",  # equally many random features in place of the named ones
    "angle_matched",  # random directions whose responses make the measured angles
    "fixed_angle",  # random directions at 45 degrees to each other, as published
    "combinatorial",  # sets drawn at random from all features
    "untrained",  # the same statistic at step 0
    "label_permutation",  # which run or step has which label
    "circular_shift",  # one of two series in time, shifted against the other
    "random_walk",  # the run's own updates with random signs
]


class NullSummary(Frozen):
    """A null distribution of one statistic, and where the measured value lies in it.

    ``pvalue`` is (b + 1)/(n + 1), b the null draws at least as extreme as the measurement in the direction
    ``alternative``. Where a row stands for several seeds, ``pvalue`` combines the p-values of ``combined`` runs by
    Fisher's method, n is the number of draws in all of them, and mean, std and quantile95 are means over runs.
    """

    kind: NullKind
    n: int = Field(ge=1)
    mean: float
    std: float
    quantile95: float
    alternative: Literal["greater", "less"]
    pvalue: float = Field(gt=0, le=1)
    combined: int | None = Field(None, ge=2)


class PeakNull(Frozen):
    """Where null draws peak: ``same`` of n peak at the measured frequency.

    ``pvalue`` is the share of draws, the measured one included, whose peak is at least as rare as the measured one:
    small if the edge peaks where random directions hardly ever do. Input permutations peak anywhere, so theirs is
    rarely small; there ``same`` says how often chance gives this frequency.
    """

    kind: NullKind
    n: int = Field(ge=1)
    same: int = Field(ge=0)
    pvalue: float = Field(gt=0, le=1)


class Interval(Frozen):
    """A 95 % interval of a mean over n runs, and how it was made.

    ``t`` has n - 1 degrees of freedom; ``exact`` is that of a proportion (Clopper-Pearson), ``score`` that of an AUC.
    """

    low: float
    high: float
    n: int = Field(ge=1)
    method: Literal["t", "exact", "score"]


class ClaimRow(Frozen):
    """One measured number with everything needed to compute it again. A key that does not apply is ``None``.

    ``inputs`` says where f was evaluated: ``"test"`` (held-out pairs, as published), ``"train"`` (the other pairs),
    ``"all"`` (whole domain), or
    ``"test_off_diagonal"`` (held-out pairs with a != b: all pairs a = b have a square as product), or
    ``"all_diagonal_averaged"`` (whole domain, f(a, a) replaced by the mean of f elsewhere: a spike at a = b is, to a
    2-D spectrum, a function of a - b).
    ``top`` lists the strongest frequencies, strongest first (pairs of frequencies for a 2-D spectrum).
    A row over several runs has no ``seed``, ``step`` or ``run_id``: ``seeds`` lists theirs, ``measured`` is their mean
    and ``interval`` says how well it is known. ``model`` is what was trained, where that is more than ``task``
    (``add+mul+x2_y2``). ``null`` is the null that decides; ``further_nulls`` are shown beside it.
    """

    claim: str
    task: str
    model: str | None = None
    seed: int | None = None
    seeds: list[int] | None = None
    weight_decay: float | None = None
    checkpoint: Checkpoint | None = None
    step: int | None = None
    stride: int | None = None
    window: int | None = None
    centered: bool | None = None
    method: Literal["jvp", "finite_difference"] | None = None
    relative_epsilon: float | None = None
    direction: str | None = None
    statistic: str
    grouping: str | None = None
    inputs: Inputs | None = None
    measured: float
    interval: Interval | None = None
    peak: int | None = None
    top: list[int] | list[tuple[int, int]] | None = None
    published: float | None = None
    published_is_upper_bound: bool | None = None
    published_peak: int | None = None
    null: NullSummary | None = None
    permutation_null: NullSummary | None = None
    further_nulls: list[NullSummary] = Field(default_factory=list)
    peak_null: PeakNull | None = None
    permutation_peak_null: PeakNull | None = None
    run_id: str | None = None


class RunSummary(Frozen):
    """One training run as the report lists it.

    Keys are checkpoint names: ``edge_position`` is k*, ``finite_difference_error`` the relative distance
    ||r' - r||/||r|| of the finite-difference response from the exact derivative, one number for v_1, v_2, ….
    ``stop_step`` is where the stopping rule was met; a run may go on after it. ``seconds`` is the time of training and
    of each study. ``protocol`` is what all runs of a table must share: the training configuration without what a table
    compares (operation, seed, weight decay, residues, length). ``edge_setting`` has stride, window and centring.
    """

    run_id: str
    task: str
    seed: int
    weight_decay: float
    steps: int
    grok_step: int | None
    stop_step: int | None = None
    test_accuracy: float
    seconds: dict[str, float] = Field(default_factory=dict)
    protocol: dict[str, Any] = Field(default_factory=dict)
    edge_setting: dict[str, int | bool] = Field(default_factory=dict)
    analysed_steps: dict[str, int] = Field(default_factory=dict)
    edge_position: dict[str, int] = Field(default_factory=dict)
    finite_difference_error: dict[str, list[float]] = Field(default_factory=dict)


class Numbers(Document):
    """The whole of ``numbers.json``: what studies measured on the runs of a reproduction, beside the answers.

    ``environment`` and ``wall_seconds`` are those of the command that wrote it; ``stage_seconds`` is the time of
    training and of each study summed over runs, whichever command did it. ``analysis`` is the configuration of all
    analyses.
    """

    made_by: ClassVar[str] = "Run `spectral-edge reproduce` first."

    profile: str
    environment: dict[str, Any]
    wall_seconds: float
    stage_seconds: dict[str, float] = Field(default_factory=dict)
    analysis: dict[str, Any] = Field(default_factory=dict)
    runs: list[RunSummary]
    rows: list[ClaimRow]
