"""What basis discovery found, run by run, on disk."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from spectral_edge.store.records import Document, Frozen

__all__ = ["Discoveries", "DiscoveryRow", "DiscoverySource", "KnownShare"]

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


class KnownShare(Frozen):
    """A known grouping beside its null: as ``Candidate`` of the discovery room."""

    grouping: str
    share: float
    null_quantile95: float
    pvalue_adjusted: float


class DiscoveryRow(Frozen):
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


class Discoveries(Document):
    """The whole of ``discoveries.json``."""

    made_by: ClassVar[str] = "Run `spectral-edge experiment discovery` first."

    environment: dict[str, Any]
    rows: list[DiscoveryRow]
