"""Tell an open page that a run has gone on: server-sent events from what its files say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Hashable
from pathlib import Path

from spectral_edge.serve.library import Library, UnknownRunError
from spectral_edge.store import StoreError, read_lock

__all__ = ["changes", "library_stamp", "run_stamp"]

_LOOK_EVERY = 0.5
# Seconds between looks for a second that one takes: thousands of runs must not cost a training its core.
_REST = 20
# Proxies and browsers drop a connection that says nothing for longer.
_QUIET = 15.0
_FILES = ("config.json", "status.json", "metrics.jsonl", "index.jsonl")


def run_stamp(library: Library, name: str) -> Hashable:
    """Something that changes when the run does; ``None`` once it is gone. Cost: a few calls of ``stat``."""
    try:
        return _stamp(library.path(name))
    except UnknownRunError:
        return None


def library_stamp(library: Library) -> Hashable:
    """Something that changes when a run comes, goes, begins, is evaluated or ends."""
    return tuple((name, _stamp(library.root / name)) for name in library.names())


def _stamp(path: Path) -> Hashable:
    try:
        held = read_lock(path / "lock").held
    except StoreError:
        held = False
    return (held, *(_file_stamp(path / file) for file in _FILES))


async def changes(stamp: Callable[[], Hashable], ends: Callable[[], bool]) -> AsyncIterator[str]:
    """The stream of events: ``change`` whenever ``stamp`` gives another value, and a comment now and then.

    Args:
        stamp: takes a look.
        ends: whether the server is ending, and the stream with it.
    """
    last: Hashable = object()
    next_look, said = 0.0, time.monotonic()
    while not ends():
        if (began := time.monotonic()) >= next_look:
            now = await asyncio.to_thread(stamp)
            next_look = time.monotonic() + _REST * (time.monotonic() - began)
            if now != last:
                last, said = now, time.monotonic()
                yield _event(now)
        if time.monotonic() - said >= _QUIET:
            said = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY)


def _event(stamp: Hashable) -> str:
    return f"event: change\ndata: {json.dumps({'there': stamp is not None})}\n\n"


def _file_stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
