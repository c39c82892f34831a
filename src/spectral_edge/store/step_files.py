"""A folder of tensor files, one a step, and the index whose lines commit them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spectral_edge.store.errors import RunMissingError, StoreError, storage_error
from spectral_edge.store.files import append_line, write_atomically
from spectral_edge.store.records import StepRecord, read_records, step_file_name
from spectral_edge.store.strict_json import encode_json
from spectral_edge.store.tensors import decode_tensors, encode_tensors, read_verified

__all__ = ["StepFiles"]


@dataclass(frozen=True)
class StepFiles:
    """Tensor files ``folder/step_*.safetensors`` committed by the lines of ``index``.

    A file that no line names does not exist for a reader, and may be removed by the writer.

    Attributes:
        folder: where the tensor files are, in the run's directory.
        index: the file whose lines commit them.
        what: what a file holds, as messages call it.
    """

    folder: Path
    index: Path
    what: str

    def records(self) -> dict[int, StepRecord]:
        """Read the committed records by step, ascending; of two lines for one step the later counts.

        Raises:
            RunCorruptError: a line of the index is damaged, or names a file that is not its step's own.
        """
        found = {record.step: record for record in read_records(self.index, StepRecord)}
        return dict(sorted(found.items()))

    def record(self, step: int) -> StepRecord:
        """Read the committed record of ``step``.

        Raises:
            RunMissingError: ``step`` is not committed; says which steps are.
            RunCorruptError: as :meth:`records`.
        """
        records = self.records()
        if step not in records:
            known = f"{min(records)} to {max(records)} ({len(records)} steps)" if records else "none in this run"
            raise RunMissingError(f"{self.folder.parent}: no {self.what} of step {step}; committed: {known}.")
        return records[step]

    def add(self, step: int, tensors: Mapping[str, Tensor], extra: Mapping[str, Any] | None = None) -> None:
        """Write and commit the tensors of a step that is not committed yet.

        Raises:
            ValueError: ``step`` is no integer >= 0.
            StoreError: the step is committed already, the tensors do not fit safetensors, or the disk refuses.
        """
        # The index grows with the run, so it is read only if there is a file of this name.
        if (self.folder / step_file_name(step)).exists() and step in self.records():
            raise StoreError(
                f"{self.folder.parent}: step {step} is already in the {self.folder.name}. Call rewind(step) with the "
                "step you resume from before you continue."
            )
        append_line(self.index, _as_json(self.write(step, tensors, dict(extra or {}))))

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
