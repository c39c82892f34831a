"""What differs between operating systems: how files are opened, locked, reserved and brought to the disk."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

fcntl: Any = None
msvcrt: Any = None
try:
    import fcntl
except ModuleNotFoundError:
    with contextlib.suppress(ModuleNotFoundError):  # try_lock says so
        import msvcrt  # Windows

__all__ = ["open_file", "read_at", "reserve", "sync_folder", "try_lock", "unlock", "write_at"]

# Windows keeps others from reading what is locked: a byte that no file has.
_LOCKED_BYTE = 1 << 40
_AT_ONCE = 1 << 24


def open_file(path: Path, flags: int) -> int:
    """Open a file as bytes, never through a symbolic link; it is made with 0o666 less the umask.

    Windows has no flag against links: there, whoever may make one in the folder may choose the file.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut: fsync of a file does not cover its name.

    Windows opens no folders, and has no such call.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """At most ``size`` bytes from ``offset``; moves the descriptor's own place."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all bytes at ``offset``; moves the descriptor's own place."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    rest = memoryview(data)
    while rest:  # a write may be short: close to a full disk, and always above 2 GiB on Linux
        rest = rest[os.write(descriptor, rest) :]


def reserve(descriptor: int, size: int) -> None:
    """Give a file ``size`` bytes that are really there, so that writing to its pages cannot fail later.

    Cost: nothing on Linux; elsewhere what is missing is written once.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    start = os.fstat(descriptor).st_size
    zeros = bytes(min(_AT_ONCE, max(0, size - start)))
    while start < size:
        part = zeros[: size - start]
        write_at(descriptor, part, start)
        start += len(part)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file if nobody has it, and say whether; it ends with the process.

    Args:
        descriptor: of the file.
        shared: several may hold it at once, if nobody holds it alone. Windows knows no such lock: there readers, who
            hold it for microseconds, may see each other.

    Raises:
        OSError: its file system, or the system, has no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    if msvcrt is None:
        raise OSError(errno.ENOLCK, "this system has neither flock nor msvcrt")
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as cause:
        if cause.errno in (errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def unlock(descriptor: int) -> None:
    """Give the lock back."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
