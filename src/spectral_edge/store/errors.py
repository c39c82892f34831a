"""What can go wrong between memory and disk. Every message names the place, the value and the remedy."""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = [
    "ConfigMismatchError",
    "RunCorruptError",
    "RunLockedError",
    "RunMissingError",
    "SchemaError",
    "StoreError",
    "storage_error",
]

_REMEDIES = {
    errno.ENOSPC: "Free disk space, or choose an output folder on another disk, and start again",
    errno.EDQUOT: "Free some of your disk quota, or choose another output folder, and start again",
    errno.EFBIG: "Raise the file-size limit (ulimit -f), or choose another disk, and start again",
    errno.EACCES: "Choose an output folder you may write to",
    errno.EROFS: "Choose an output folder on a disk that is not read-only",
    errno.EISDIR: "Choose a path that is not a directory",
    errno.ENOTDIR: "Choose a path none of whose parents is a file",
    errno.EEXIST: "Choose another path, or move what is there out of the way",
    errno.ENOENT: "Create the folder first, or correct the path",
}


class StoreError(Exception):
    """Something could not be read from or written to disk; the parent of every error of this room."""


class RunMissingError(StoreError):
    """A run, or a named part of one (a snapshot, a claims file), is not there."""


class RunCorruptError(StoreError):
    """A file does not hold what its run says it holds: half written, truncated, altered, of another kind."""


class SchemaError(StoreError):
    """A file was written under another schema version than the one this package reads."""


class RunLockedError(StoreError):
    """Another process is writing to this run."""


class ConfigMismatchError(StoreError):
    """A run directory already holds a run with another configuration."""


def storage_error(path: Path, cause: OSError, action: str = "written") -> StoreError:
    """Turn an operating-system error into a `StoreError` that names path, cause and remedy.

    Args:
        path: the file or folder that was being worked on.
        cause: what the operating system reported.
        action: past participle that completes "could not be …".

    Returns:
        The error, to be raised ``from cause``.

    Example:
        >>> import errno
        >>> storage_error(Path("m.jsonl"), OSError(errno.EROFS, "Read-only file system"))
        StoreError('m.jsonl: could not be written: Read-only file system. Choose an output folder ...')
    """
    remedy = _REMEDIES.get(cause.errno or 0, "Check the disk and the permissions of the folder")
    return StoreError(f"{path}: could not be {action}: {cause.strerror or cause}. {remedy}.")
