"""One writer per run, enforced by the kernel, so that a killed writer never leaves a run locked."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from spectral_edge.store.errors import RunLockedError, storage_error
from spectral_edge.store.system import open_file, read_at, try_lock, unlock, write_at

__all__ = ["LockHolder", "LockState", "hold_lock", "read_lock"]

_RETRY_SECONDS = 0.05


class LockHolder(BaseModel):
    """Who holds a lock: written into the lock file for the error message of whoever comes second."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pid: int
    host: str
    command: str
    since: str

    @classmethod
    def of_this_process(cls) -> LockHolder:
        """Describe the running process, as of now."""
        return cls(
            pid=os.getpid(),
            host=socket.gethostname(),
            command=shlex.join(sys.argv),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
        )


@contextlib.contextmanager
def hold_lock(path: Path, wait: float = 2.0) -> Iterator[None]:
    """Hold the exclusive lock of the file ``path`` while the block runs.

    The kernel drops the lock when the process ends, however it ends (also ``kill -9``); a process forked
    from the holder keeps it alive until it ends too. Not re-entrant.

    Args:
        path: the lock file, created if missing and never removed: removing it would let two processes lock
            two different files of the same name.
        wait: seconds to try before giving up; 0 tries once.

    Raises:
        RunLockedError: another process (or this one, once already) holds it after ``wait`` seconds.
        StoreError: the file cannot be opened, or its file system has no locks.
    """
    try:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    except OSError as cause:
        raise storage_error(path, cause, "locked") from cause
    try:
        _acquire(descriptor, path, wait)
        _write_holder(descriptor, LockHolder.of_this_process().model_dump_json().encode())
        try:
            yield
        finally:
            _write_holder(descriptor, b"")
            unlock(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class LockState:
    """A lock as another process sees it at one moment.

    Attributes:
        held: whether somebody holds it now.
        holder: who does, or who was killed while holding it; None if the lock was released in order, or if a holder
            left no name.
    """

    held: bool
    holder: LockHolder | None


def read_lock(path: Path) -> LockState:
    """Look who holds the lock file ``path`` without taking it: writers go on, and readers do not see each other.

    Args:
        path: the lock file; if it is missing nobody holds it.

    Raises:
        StoreError: the file cannot be opened, or its file system has no locks.
    """
    try:
        descriptor = open_file(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
    except FileNotFoundError:
        return LockState(held=False, holder=None)
    except OSError as cause:
        raise storage_error(path, cause, "read") from cause
    try:
        return LockState(_is_held(descriptor, path), _read_holder(descriptor))
    finally:
        os.close(descriptor)


def _is_held(descriptor: int, path: Path) -> bool:
    # Shared, and for microseconds: a writer that comes in between tries again, see _acquire.
    try:
        if not try_lock(descriptor, shared=True):
            return True
    except OSError as cause:
        raise storage_error(path, cause, "read") from cause
    unlock(descriptor)
    return False


def _acquire(descriptor: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            if try_lock(descriptor):
                return
        except OSError as cause:
            raise storage_error(path, cause, "locked") from cause
        if time.monotonic() >= deadline:
            raise _locked_error(descriptor, path, wait)
        time.sleep(_RETRY_SECONDS)


def _write_holder(descriptor: int, text: bytes) -> None:
    # The holder's name is a courtesy: on a full disk the lock itself still holds.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        write_at(descriptor, text, 0)


def _locked_error(descriptor: int, path: Path, wait: float) -> RunLockedError:
    holder = _read_holder(descriptor)
    who = "a process that left no name"
    if holder is not None:
        who = f"process {holder.pid} on {holder.host} since {holder.since} ({holder.command})"
    return RunLockedError(
        f"{path.parent}: in use by {who}; waited {wait:g} s. Let it finish, stop it, or choose another "
        "output folder. The lock goes away with the process: do not delete the lock file."
    )


def _read_holder(descriptor: int) -> LockHolder | None:
    try:
        return LockHolder.model_validate_json(read_at(descriptor, 65536, 0))
    except (ValidationError, OSError):
        return None
