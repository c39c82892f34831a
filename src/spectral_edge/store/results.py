"""What an analysis leaves behind: claim rows, verdicts, and the arrays the figures are drawn from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Checkpoint", "ClaimRow", "Claims", "Inputs", "NullSummary", "PeakNull", "RunSummary", "Verdict"]

Checkpoint = Literal["early", "memorisation", "transition", "stop", "final"]
Inputs = Literal["test", "all", "test_off_diagonal", "all_diagonal_averaged"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NullSummary(_Frozen):
    """A null distribution of one statistic, and where the measured value lies in it.

    ``pvalue`` is (b + 1)/(n + 1), b the null draws at least as extreme as the measurement in the direction
    ``alternative``; ``pvalue_adjusted`` is its Benjamini-Hochberg value within the claim's table.
    """

    kind: Literal["random_directions", "input_permutation"]
    n: int = Field(ge=1)
    mean: float
    std: float
    quantile95: float
    alternative: Literal["greater", "less"]
    pvalue: float = Field(gt=0, le=1)
    pvalue_adjusted: float | None


class PeakNull(_Frozen):
    """Where null draws peak: ``same`` of n peak at the measured frequency.

    ``pvalue`` is the share of draws, the measured one included, whose peak is at least as rare as the measured one:
    small if the edge peaks where random directions hardly ever do. Input permutations peak anywhere, so theirs is
    rarely small; there ``same`` says how often chance gives this frequency.
    """

    kind: Literal["random_directions", "input_permutation"]
    n: int = Field(ge=1)
    same: int = Field(ge=0)
    pvalue: float = Field(gt=0, le=1)
    pvalue_adjusted: float | None


class ClaimRow(_Frozen):
    """One measured number with everything needed to compute it again. A key that does not apply is ``None``.

    ``inputs`` says where f was evaluated: ``"test"`` (held-out pairs, as published), ``"all"`` (whole domain), or
    ``"test_off_diagonal"`` (held-out pairs with a != b: all pairs a = b have a square as product), or
    ``"all_diagonal_averaged"`` (whole domain, f(a, a) replaced by the mean of f elsewhere: a spike at a = b is, to a
    2-D spectrum, a function of a - b).
    ``top`` lists the strongest frequencies, strongest first (pairs of frequencies for a 2-D spectrum).
    """

    claim: str
    task: str
    seed: int
    weight_decay: float
    checkpoint: Checkpoint
    step: int
    stride: int
    window: int
    centered: bool
    method: Literal["jvp", "finite_difference"] | None
    direction: str | None
    statistic: str
    grouping: str | None
    inputs: Inputs | None
    measured: float
    peak: int | None
    top: list[int] | list[tuple[int, int]] | None
    published: float | None
    published_is_upper_bound: bool | None
    published_peak: int | None
    null: NullSummary | None
    permutation_null: NullSummary | None
    peak_null: PeakNull | None
    permutation_peak_null: PeakNull | None
    run_id: str


class Verdict(_Frozen):
    """Both answers for one claim: does the published number come back, and does the effect beat its null?"""

    claim: str
    statement: str
    reproduces: bool | None
    survives_null: bool | None
    because: str


class RunSummary(_Frozen):
    """One training run as the report lists it.

    Keys are checkpoint names: ``edge_position`` is k*, ``finite_difference_error`` the relative distance
    ||r' - r||/||r|| of the finite-difference response from the exact derivative, one number for v_1, v_2, ….
    """

    run_id: str
    task: str
    seed: int
    weight_decay: float
    steps: int
    grok_step: int | None
    test_accuracy: float
    analysed_steps: dict[str, int]
    edge_position: dict[str, int]
    finite_difference_error: dict[str, list[float]]


class Claims(_Frozen):
    """The whole of ``claims.json``."""

    schema_: Literal[1] = Field(1, alias="schema")
    profile: str
    environment: dict[str, Any]
    wall_seconds: float
    runs: list[RunSummary]
    rows: list[ClaimRow]
    verdicts: list[Verdict]

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)
