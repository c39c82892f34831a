"""Copies of runs whose learning rates are neighbouring float32 numbers, on disk."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from spectral_edge.store.records import Document, Frozen

__all__ = ["CopyRow", "PartingRow", "Rounding"]


class CopyRow(Frozen):
    """One copy of a run at its stop: F and peak of the modes of its edge, and of random directions, on held-out pairs.

    Random directions are the same for all copies and seeds.
    """

    run_id: str
    operation: str
    seed: int
    copy_number: int = Field(ge=0)
    learning_rate: float
    step: int
    window: int
    stride: int
    centered: bool
    method: Literal["jvp"] = "jvp"
    grouping: str
    inputs: Literal["test"] = "test"
    concentration: list[float]
    peak: list[int]
    random_seed: int
    random_concentration: list[float]
    random_peak: list[int]


class PartingRow(Frozen):
    """How far two runs are from each other: |θ - θ'|/|θ'| of the attention weights at the snapshots both have.

    θ' is of ``other_run_id``.

    ``same_seed`` pairs are a copy and the run as published, the others two seeds as published.
    """

    operation: str
    run_id: str
    other_run_id: str
    same_seed: bool
    steps: list[int]
    distance: list[float]


class Rounding(Document):
    """The whole of ``rounding.json``."""

    made_by: ClassVar[str] = "Run `spectral-edge experiment rounding` first."

    environment: dict[str, Any]
    copies: list[CopyRow]
    partings: list[PartingRow]
