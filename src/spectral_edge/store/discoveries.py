"""What basis discovery found, run by run, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spectral_edge.store.errors import RunMissingError
from spectral_edge.store.records import read_document, write_document

__all__ = ["Discoveries", "DiscoveryRow", "DiscoverySource", "KnownShare", "read_discoveries", "write_discoveries"]

DiscoverySource = Literal[
    "edge",  # responses to the edge directions
    "v1",  # the response to the first of them alone
    "random",  # responses to as many random directions in the same weights
    "random_one",  # the response to one of them
    "energy",  # f_k of the edge directions
    "energy_off_diagonal",  # f_k without the pairs (a, a)
    "energy_many",  # f of 96 random directions
    "embedding",  # products of principal components of the token embedding
    "residual",  # the residual stream that responses are derivatives of
    "logits",
    "shuffled",  # responses to edge directions, on exchanged inputs
    "untrained",  # responses to random directions before the first step
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KnownShare(_Frozen):
    """A known grouping beside its null: as ``Candidate`` of the discovery room."""

    grouping: str
    share: float
    null_quantile95: float
    pvalue_adjusted: float


class DiscoveryRow(_Frozen):
    """One discovery: where its functions came from, what was found, and how that compares with the task.

    ``agreement`` is the share of all pairs of the task, given to the discovery or not, on which the classes of the law
    that was found are those of the task's labels, under the best one-to-one naming; ``group_agreement`` allows a sum to
    stand for a difference, which functions of one token, and squares, cannot tell apart. Both are None where no law was
    found or the task has no law. ``recovered`` is agreement on all pairs (``group_agreement`` for the embedding and for
    energies). ``pairs_known`` is the share of pairs that were given. Of several tasks on one trunk, labels are those of
    the one that is a group on its tokens.
    """

    run_id: str
    operation: str
    renaming: int | None
    p: int
    seed: int
    step: int
    test_accuracy: float | None
    source: DiscoverySource
    directions: int | None
    window: int | None
    stride: int | None
    centered: bool | None
    null_draws: int
    null_seed: int
    pairs_known: float = Field(gt=0, le=1)
    answer: str
    pvalue: float = Field(gt=0, le=1)
    evenness: float | None
    commutator: float | None
    dimension: int
    interaction_share: float
    dispersions: list[float]
    frequencies: list[int] | None
    law: str | None
    kind: str | None
    law_share: float | None
    law_pvalue: float | None
    task_share: float
    agreement: float | None
    group_agreement: float | None
    recovered: bool
    known: list[KnownShare]
    seconds: float


class Discoveries(_Frozen):
    """The whole of ``discoveries.json``."""

    schema_: Literal[1] = Field(1, alias="schema")
    environment: dict[str, Any]
    rows: list[DiscoveryRow]

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


def write_discoveries(path: Path, discoveries: Discoveries) -> None:
    """Write ``discoveries.json``, of a run or of many, as one step.

    Raises:
        StoreError: the disk refuses.
    """
    write_document(path, discoveries)


def read_discoveries(path: Path) -> Discoveries:
    """Read and validate a ``discoveries.json``.

    Raises:
        RunMissingError: there is no such file.
        RunCorruptError: it is damaged; names the first key that is wrong.
    """
    if not path.exists():
        raise RunMissingError(f"{path}: there are no discoveries here. Run `spectral-edge experiment discovery` first.")
    return read_document(path, Discoveries)
