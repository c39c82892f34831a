"""What an analysis of one run leaves behind, on disk: rows and summary as JSON, arrays as safetensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from spectral_edge.store.files import make_folder, write_atomically
from spectral_edge.store.records import Document, read_document
from spectral_edge.store.results import ClaimRow, RunSummary
from spectral_edge.store.tensors import decode_arrays, encode_arrays, read_verified

__all__ = ["Analysis", "read_analysis", "write_analysis"]


@dataclass(frozen=True)
class Analysis:
    """The stored analysis of one run.

    Attributes:
        rows: one measured number each.
        summary: the run as the report lists it.
        arrays: what the figures are drawn from, by name.
    """

    rows: list[ClaimRow]
    summary: RunSummary
    arrays: dict[str, np.ndarray]

    def __repr__(self) -> str:
        return f"Analysis({self.summary.run_id!r}, {len(self.rows)} rows, {len(self.arrays)} arrays)"


class _RowsFile(Document):
    """``rows.json``, which commits an analysis: its digest names the arrays file and proves its content."""

    made_by: ClassVar[str] = "Run `spectral-edge analyze` first."

    arrays_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    arrays_bytes: int = Field(ge=0)
    summary: RunSummary
    rows: list[ClaimRow]


def write_analysis(folder: Path, rows: list[ClaimRow], summary: RunSummary, arrays: dict[str, np.ndarray]) -> None:
    """Store an analysis; ``rows.json``, written last, commits it.

    The arrays file is named after its digest, so a new analysis never overwrites the arrays of the committed
    one: killed at any instant, either the old analysis or the new one can be read.

    Args:
        folder: where to; made if missing, and used for nothing else that is named ``arrays-*``.
        rows: one measured number each.
        summary: the run as the report lists it.
        arrays: boolean or real arrays by name; NaN is allowed in them, unlike in ``rows``.

    Raises:
        StoreError: an array does not fit safetensors, or the disk refuses; an older analysis stays readable.
    """
    data = encode_arrays(arrays, folder / "arrays.safetensors")
    digest = hashlib.sha256(data).hexdigest()
    document = _RowsFile(arrays_sha256=digest, arrays_bytes=len(data), summary=summary, rows=rows)
    make_folder(folder)
    arrays_file = folder / _arrays_name(digest)
    write_atomically(arrays_file, data)
    document.write(folder / "rows.json")
    for other in folder.glob("arrays-*.safetensors"):
        if other.name != arrays_file.name:
            other.unlink(missing_ok=True)


def read_analysis(folder: Path) -> Analysis | None:
    """Read the committed analysis of ``folder``, trusting nothing in it.

    Args:
        folder: where `write_analysis` stored it.

    Returns:
        The analysis, or None if none is committed there.

    Raises:
        RunCorruptError: a file is damaged, or the arrays are not those committed; names the file.
        SchemaError: it was written under another schema version.
    """
    path = folder / "rows.json"
    if not path.exists():
        return None
    stored = read_document(path, _RowsFile)
    arrays_file = folder / _arrays_name(stored.arrays_sha256)
    data = read_verified(arrays_file, stored.arrays_bytes, stored.arrays_sha256)
    return Analysis(stored.rows, stored.summary, decode_arrays(data, arrays_file))


def _arrays_name(digest: str) -> str:
    return f"arrays-{digest[:16]}.safetensors"
