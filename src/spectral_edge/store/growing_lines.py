"""A ``.jsonl`` file that somebody else appends to, read again at the cost of what was added."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from spectral_edge.store.errors import RunCorruptError, storage_error
from spectral_edge.store.strict_json import decode_object

__all__ = ["GrowingLines"]


class GrowingLines:
    """The committed lines of a file, as :func:`read_lines` gives them, kept between readings.

    A file that was rewritten since (a run that was rewound, a new file under the old name) is read again from its
    start: the last line read must still stand where it stood.

    Args:
        path: the file; untrusted. A missing one has no lines.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> lines = GrowingLines(path); lines.read()
    []
    >>> _ = path.write_text('{"step": 1}\\n{"st'); lines.read()
    [{'step': 1}]
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def read(self) -> list[dict[str, Any]]:
        """All committed lines, oldest first; the list is the caller's, its records are not.

        Raises:
            RunCorruptError: a line before the last is not a JSON object; names file and line.
            StoreError: the file cannot be read.
        """
        begin = self._end - len(self._last)
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):  # a pipe would be waited for
                raise RunCorruptError(f"{self._path}: is no regular file.")
            with self._path.open("rb") as stream:
                stream.seek(begin)
                data = stream.read()
        except FileNotFoundError:
            self._forget()
            return []
        except OSError as cause:
            raise storage_error(self._path, cause, "read") from cause
        if not data.startswith(self._last):
            self._forget()
            return self.read()
        self._take(data[len(self._last) :].split(b"\n")[:-1])
        return list(self._records)

    def _forget(self) -> None:
        self._records: list[dict[str, Any]] = []
        self._last = b""  # the last committed line, and where it ends
        self._end = 0

    def _take(self, lines: list[bytes]) -> None:
        for i, line in enumerate(lines):
            place = f"{self._path}:{len(self._records) + 1}"
            try:
                record = decode_object(line, place)
            except RunCorruptError:
                if i == len(lines) - 1:
                    return  # torn: the writer will cut it off
                raise
            self._records.append(record)
            self._last = line + b"\n"
            self._end += len(self._last)
