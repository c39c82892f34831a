"""What a sweep asked for, kept beside its runs, so that those that have not started are known, too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from spectral_edge.store.files import make_folder, write_atomically
from spectral_edge.store.records import Document
from spectral_edge.store.strict_json import encode_json

__all__ = ["SweepFile", "sweep_files", "write_sweep"]


class SweepFile(Document):
    """``sweeps/<hash>.json``: the configurations of the runs of a sweep, and how each is to be analysed."""

    made_by: ClassVar[str] = "Run `spectral-edge sweep` first."

    runs: list[dict[str, JsonValue]]
    claims: list[str] = Field(default_factory=list)
    analysis: dict[str, Any] = Field(default_factory=dict)


def write_sweep(root: Path, sweep: SweepFile) -> Path:
    """Write what a sweep asks for into ``root/sweeps``, named by its content, and return the file.

    The same sweep gives the same file; one that is there already is left as it is.

    Raises:
        StoreError: the disk refuses.
    """
    folder = root / "sweeps"
    make_folder(folder)
    data = encode_json(sweep.model_dump(mode="json", by_alias=True), folder, indent=1) + b"\n"
    path = folder / f"{hashlib.sha256(data).hexdigest()[:10]}.json"
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)
    return path


def sweep_files(root: Path) -> list[Path]:
    """The files that sweeps left in ``root``, by name; none if there was no sweep."""
    return sorted((root / "sweeps").glob("*.json"))
