"""Processes on this machine, which end with the command that started them."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from spectral_edge.engines.engine import Ended, EngineError, prepare_workers

__all__ = ["LocalEngine", "call_all"]

_POLL_SECONDS = 0.5
_END_SECONDS = 10


class LocalEngine:
    """Up to ``jobs`` processes, each used for one call after another. If one is killed, only its call is lost.

    Args:
        jobs: calls at a time.

    >>> from math import sqrt
    >>> with LocalEngine(1) as engine:
    ...     engine.place("root", sqrt, 9)
    ...     ended = engine.collect(60)
    >>> ended
    [Ended(name='root', value=3.0, error=None)]
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"jobs = {jobs}: at least one call is needed at a time")
        self._jobs = jobs
        self._queue: deque[tuple[str, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._busy: dict[Connection, tuple[str, _Worker]] = {}
        self._idle: list[_Worker] = []

    @property
    def running(self) -> set[str]:
        """Names of the calls under way."""
        return {name for name, _ in self._busy.values()}

    def place(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue a call, see :class:`Engine`."""
        self._queue.append((name, function, arguments))
        self._fill()

    def collect(self, seconds: float) -> list[Ended]:
        """Return what has ended, see :class:`Engine`."""
        ended = []
        if not self._busy:
            time.sleep(seconds)  # a caller that waits for something else must not spin
        for ready in wait(list(self._busy), seconds):
            assert isinstance(ready, Connection)
            name, worker = self._busy.pop(ready)
            try:
                value, error = ready.recv()
                ended.append(Ended(name, value, error))
                self._idle.append(worker)
            except (EOFError, ConnectionError):
                ended.append(Ended(name, error=worker.was_killed(name)))
        self._fill()
        return ended

    def _fill(self) -> None:
        while self._queue and len(self._busy) < self._jobs:
            name, function, arguments = self._queue.popleft()
            worker = self._idle.pop() if self._idle else _Worker()
            try:
                worker.here.send((function, arguments))
            except OSError:  # it was killed while it was idle
                worker = _Worker()
                worker.here.send((function, arguments))
            self._busy[worker.here] = name, worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        busy = [worker for _, worker in self._busy.values()]
        for worker in busy:
            worker.process.terminate()
        for worker in [*busy, *self._idle]:
            worker.here.close()  # an idle one ends by itself, and cleans up what libraries left behind
        for worker in [*busy, *self._idle]:
            worker.process.join(_END_SECONDS)
            worker.process.kill()
            worker.process.join()


def call_all(
    calls: Mapping[str, tuple[Callable[..., Any], *tuple[Any, ...]]],
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Make every call in a process of this machine and return the values by name, in the order of the calls.

    Args:
        calls: by name, the function and its arguments.
        jobs: calls at a time; as many as cores if left out.
        say: called with a line for each call that is done.

    Raises:
        EngineError: a worker process was killed.
        ValueError: ``jobs`` is below 1.
        Exception: what a call raised, as soon as it does; calls under way are stopped.

    >>> from math import sqrt
    >>> call_all({"root of 9": (sqrt, 9), "root of 4": (sqrt, 4)}, jobs=1)
    {'root of 9': 3.0, 'root of 4': 2.0}
    """
    values: dict[str, Any] = {}
    with LocalEngine(os.cpu_count() or 1 if jobs is None else jobs) as engine:
        for name, (function, *arguments) in calls.items():
            engine.place(name, function, *arguments)
        while len(values) < len(calls):
            for ended in engine.collect(_POLL_SECONDS):
                values[ended.name] = ended.result()
                if say:
                    say(f"{len(values)} of {len(calls)} runs done: {ended.name}")
    return {name: values[name] for name in calls}


class _Worker:
    def __init__(self) -> None:
        prepare_workers()
        context = get_context("spawn")
        self.here, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, os.getpid()), daemon=True)
        self.process.start()
        there.close()  # the worker's end: with only its own copy left, its death is an end of file here

    def was_killed(self, name: str) -> EngineError:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return EngineError(
            f"{name}: its worker process {how} (out of memory, or by hand). The same command continues from its last "
            "checkpoint; give it fewer jobs if memory is short."
        )


def _serve(there: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command that was interrupted stops its workers itself
    _end_with_parent(parent)
    while True:
        try:
            function, arguments = there.recv()
        except EOFError:
            return
        there.send_bytes(_answer(function, arguments))


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """Value and error, pickled; an error that does not survive the journey is replaced by its text."""
    try:
        return pickle.dumps((function(*arguments), None))
    except Exception as problem:
        problem.add_note(traceback.format_exc())
        try:
            answer = pickle.dumps((None, problem))
            pickle.loads(answer)
        except Exception:
            return pickle.dumps((None, EngineError(f"{type(problem).__name__}: {problem}")))
        return answer


def _end_with_parent(parent: int) -> None:
    """End this worker when the command that started it is killed: an orphan would hold its run's lock."""

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()
