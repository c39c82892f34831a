"""A folder of tensor files, one a step, and the index whose lines commit them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spectral_edge.store.errors import storage_error
from spectral_edge.store.files import append_line, write_atomically
from spectral_edge.store.records import StepRecord, read_records, step_file_name
from spectral_edge.store.strict_json import encode_json
from spectral_edge.store.tensors import decode_tensors, encode_tensors, read_verified

__all__ = ["StepFiles"]


@dataclass(frozen=True)
class StepFiles:
    """Tensor files ``folder/step_*.safetensors`` committed by the lines of ``index``.

    A file that no line names does not exist for a reader, and may be removed by the writer.
    """

    folder: Path
    index: Path

    def records(self) -> dict[int, StepRecord]:
        """Read the committed records by step, ascending; of two lines for one step the later counts.

        Raises:
            RunCorruptError: a line of the index is damaged, or names a file that is not its step's own.
        """
        found = {record.step: record for record in read_records(self.index, StepRecord)}
        return dict(sorted(found.items()))

    def has(self, step: int) -> bool:
        """Tell whether ``step`` is committed and its file there; reads the index only in the latter case."""
        return (self.folder / step_file_name(step)).exists() and step in self.records()

    def write(self, step: int, tensors: Mapping[str, Tensor], extra: dict[str, Any]) -> StepRecord:
        """Write the tensor file of ``step``; it is not committed before its record is.

        Raises:
            ValueError: ``step`` is no integer >= 0.
            StoreError: the tensors do not fit safetensors, or the disk refuses them.
        """
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise ValueError(f"step must be an integer >= 0, got {step!r}")
        path = self.folder / step_file_name(step)
        data = encode_tensors(tensors, path)
        digest = hashlib.sha256(data).hexdigest()
        write_atomically(path, data)
        return StepRecord(step=step, file=path.name, sha256=digest, bytes=len(data), extra=extra)

    def append(self, record: StepRecord) -> None:
        """Commit one more record."""
        append_line(self.index, _as_json(record))

    def replace(self, records: Iterable[StepRecord]) -> None:
        """Commit exactly ``records`` as one step, then remove the files that they do not name.

        Raises:
            StoreError: the disk refuses; then the old records stay committed.
        """
        kept = list(records)
        if kept or self.index.exists():
            write_atomically(self.index, b"".join(encode_json(_as_json(r), self.index) + b"\n" for r in kept))
        named = {record.file for record in kept}
        try:
            for path in self.folder.glob("step_*.safetensors"):
                if path.name not in named:
                    path.unlink()
        except OSError as cause:
            raise storage_error(self.folder, cause, "cleared of dropped files") from cause

    def read(self, record: StepRecord) -> dict[str, Tensor]:
        """Read the tensors of a committed record.

        Raises:
            RunCorruptError: the file is missing, truncated, altered, or not safetensors.
        """
        path = self.folder / record.file
        return decode_tensors(read_verified(path, record.bytes, record.sha256), path)


def _as_json(record: StepRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude_defaults=True)
