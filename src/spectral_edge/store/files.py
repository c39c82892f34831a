"""Write so that a kill or a full disk at any instant leaves the last committed state readable."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from spectral_edge.store.errors import RunCorruptError, StoreError, storage_error
from spectral_edge.store.strict_json import decode_object, encode_json
from spectral_edge.store.system import open_file, read_at, sync_folder, write_at

__all__ = [
    "append_line",
    "make_folder",
    "read_file",
    "read_lines",
    "remove_leftovers",
    "set_aside",
    "write_atomically",
]


def make_folder(path: Path) -> None:
    """Make a folder and its parents, if they are not there.

    Raises:
        StoreError: ``path`` or a parent is a file, or cannot be made.
    """
    try:
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path}: the output path is a file. Choose another path, or move the file away.")
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise storage_error(path, cause, "created") from cause


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` as one step: a reader sees the old bytes or the new ones, nothing between.

    Temporary name in the same folder, write, fsync, rename, fsync of the folder.

    Args:
        path: file to write; its folder must exist.
        data: the whole new content.

    Raises:
        StoreError: the bytes could not be written (disk full, no permission, ``path`` is a directory). The
            temporary is removed and what ``path`` held before is untouched.

    Cost:
        Two fsyncs, and room on disk for old and new content together.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_at(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as cause:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(cause, OSError):
            raise storage_error(path, cause) from cause
        raise


def append_line(path: Path, record: dict[str, Any]) -> None:
    r"""Append ``record`` as one JSON line and fsync; the newline is the commit.

    A torn last line (left by a kill or a full disk) is cut off first, so it never ends up mid-file.

    Args:
        path: the ``.jsonl`` file; created if missing.
        record: what to write; finite numbers only.

    Raises:
        StoreError: ``record`` does not fit JSON, or the line could not be written; then the file keeps the
            lines it had.

    Cost:
        One fsync; reads only the last line, however long the file is.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> append_line(path, {"step": 1}); _ = path.open("ab").write(b'{"step": 2, "lo')
        >>> append_line(path, {"step": 2}); path.read_bytes()
        b'{"step":1}\n{"step":2}\n'
    """
    line = encode_json(record, path) + b"\n"
    is_new = not path.exists()
    try:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            committed = _committed_size(descriptor)
            os.ftruncate(descriptor, committed)
            try:
                write_at(descriptor, line, committed)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, committed)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(path.parent)
    except OSError as cause:
        raise storage_error(path, cause) from cause


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the committed lines of a ``.jsonl`` file: all of them but a torn last one.

    The last line is torn if it lacks its newline or is not a JSON object. A missing file has no lines.

    Args:
        path: the file; untrusted.

    Returns:
        One dict per line, in file order: entry i is line i + 1.

    Raises:
        RunCorruptError: a line before the last is not a JSON object; the message names file and line.
        StoreError: the file cannot be read.
    """
    if not path.exists():
        return []
    whole = read_file(path).split(b"\n")[:-1]
    records = []
    for number, line in enumerate(whole, start=1):
        try:
            records.append(decode_object(line, f"{path}:{number}"))
        except RunCorruptError:
            if number < len(whole):
                raise
    return records


def read_file(path: Path) -> bytes:
    """Read a whole regular file.

    Raises:
        RunCorruptError: ``path`` is missing or no regular file (a folder, a pipe).
        StoreError: the operating system refused the read.
    """
    if not path.is_file():
        what = "not a regular file" if path.exists() else "missing"
        raise RunCorruptError(f"{path}: {what}. Restore it from a copy, or make the run again.")
    try:
        return path.read_bytes()
    except OSError as cause:
        raise storage_error(path, cause, "read") from cause


def remove_leftovers(folder: Path) -> None:
    """Remove temporaries that a killed `write_atomically` left in ``folder``; only its sole writer may."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def set_aside(path: Path, folder: Path) -> Path:
    """Move ``path`` into ``folder`` under a name that is free there, and return where it went; nothing is deleted.

    Raises:
        StoreError: it could not be moved.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (target := folder / f"{path.name}.{number}").exists():
            number += 1
        path.rename(target)
    except OSError as cause:
        raise storage_error(path, cause, "moved aside") from cause
    return target


def _committed_size(descriptor: int) -> int:
    """Size of the file up to the end of its last whole line, found from the end backwards."""
    size = os.fstat(descriptor).st_size
    span = 4096
    while True:
        start = max(0, size - span)
        tail = read_at(descriptor, size - start, start)
        begin = tail[:-1].rfind(b"\n") + 1
        if begin or start == 0:
            return size if _is_whole(tail[begin:]) else start + begin
        span *= 2


def _is_whole(line: bytes) -> bool:
    try:
        decode_object(line, "")
    except StoreError:
        return False
    return line.endswith(b"\n")
