"""Copies of runs whose learning rates are neighbouring float32 numbers, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spectral_edge.store.errors import RunMissingError
from spectral_edge.store.records import read_document, write_document

__all__ = ["CopyRow", "PartingRow", "Rounding", "read_rounding", "write_rounding"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class CopyRow(_Frozen):
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


class PartingRow(_Frozen):
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


class Rounding(_Frozen):
    """The whole of ``rounding.json``."""

    schema_: Literal[1] = Field(1, alias="schema")
    environment: dict[str, Any]
    copies: list[CopyRow]
    partings: list[PartingRow]


def write_rounding(path: Path, rounding: Rounding) -> None:
    """Write ``rounding.json`` as one step.

    Raises:
        StoreError: the disk refuses.
    """
    write_document(path, rounding)


def read_rounding(path: Path) -> Rounding:
    """Read and validate a ``rounding.json``.

    Raises:
        RunMissingError: there is no such file.
        RunCorruptError: it is damaged; names the first key that is wrong.
        SchemaError: another version wrote it.
    """
    if not path.exists():
        raise RunMissingError(
            f"{path}: there is no comparison of copies here. Run `spectral-edge experiment rounding` first."
        )
    return read_document(path, Rounding)
