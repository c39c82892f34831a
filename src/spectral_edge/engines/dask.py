"""Workers of dask.distributed, on this machine or on many; needs the extra ``dask``."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from typing import Any, Self

from distributed import Client, Future, KilledWorker, LocalCluster, wait
from distributed import TimeoutError as DaskTimeoutError

from spectral_edge.engines.engine import Ended, EngineError, arithmetic_settings, prepare_workers
from spectral_edge.engines.versions import version_differences, versions

__all__ = ["DaskEngine"]

_CONNECT_SECONDS = 10
_WORKER_SECONDS = 60
_START_WORKERS = "{settings} dask worker {address} --nworkers 4 --nthreads 1"


class DaskEngine:
    """Places each call on a worker of a dask cluster; a worker that dies gives its call to another.

    Args:
        address: of a scheduler, such as ``tcp://node1:8786``; None starts a scheduler and workers on this machine,
            which end with the engine.
        jobs: workers of that cluster; means nothing with an address.

    Raises:
        EngineError: the scheduler cannot be reached, has no workers, or a worker would not compute the same: it has
            other versions, or more than one thread.
    """

    def __init__(self, address: str | None = None, jobs: int = 1) -> None:
        self._queue: deque[tuple[str, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._placed: dict[Future[Any], str] = {}
        self._workers_seen = time.monotonic()
        self._settings = arithmetic_settings()
        with ExitStack() as opened:
            if address is None:
                prepare_workers()
                address = opened.enter_context(_cluster(jobs)).scheduler_address
            self._address = address
            self._client = opened.enter_context(_connect(address))
            self._check_workers()
            self._opened = opened.pop_all()

    def place(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue a call, see :class:`Engine`."""
        self._queue.append((name, function, arguments))

    def collect(self, seconds: float) -> list[Ended]:
        """Return what has ended, see :class:`Engine`."""
        self._fill()
        if not self._placed:
            time.sleep(seconds)
            return []
        try:
            with self._client.as_current():  # wait asks for it, and a caller may have a client of another cluster
                done = wait(list(self._placed), seconds, return_when="FIRST_COMPLETED").done
        except DaskTimeoutError:
            return []
        except CancelledError:  # all futures are, once the scheduler is gone
            raise self._lost() from None
        return [self._ended(future) for future in done]

    def _fill(self) -> None:
        """Hand out as many calls as there are workers.

        The rest stays here: when a worker dies, dask blames each call that it was given, also those that only waited.
        """
        if self._client.status not in ("running", "connecting"):
            raise self._lost()
        workers = len(self._client.scheduler_info()["workers"])
        if workers:
            self._workers_seen = time.monotonic()
        elif time.monotonic() - self._workers_seen > _WORKER_SECONDS:
            raise EngineError(
                f"{self._address}: has had no worker for {_WORKER_SECONDS} s. Start some with "
                f"`{self._how_to_start()}`; the same command continues."
            )
        while self._queue and len(self._placed) < workers:
            name, function, arguments = self._queue.popleft()
            # Unique: dask takes equal keys for the same call, also those of another command.
            future = self._client.submit(function, *arguments, key=f"{name}-{uuid.uuid4().hex[:8]}", pure=False)
            self._placed[future] = name

    def _ended(self, future: Future[Any]) -> Ended:
        name = self._placed.pop(future)
        try:
            return Ended(name, future.result())
        except KilledWorker as problem:
            message = (
                f"{name}: {problem.allowed_failures + 1} workers died while they computed it, the last at "
                f"{problem.last_worker.address} (out of memory, or killed). Start fewer workers a machine or give them "
                "more memory (`dask worker --memory-limit`); the same command continues from its last checkpoint."
            )
            return Ended(name, error=EngineError(message))
        except CancelledError:
            raise self._lost() from None
        except Exception as problem:
            return Ended(name, error=problem)

    def _check_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except DaskTimeoutError:
            raise EngineError(
                f"{self._address}: the scheduler has no workers. Start some with `{self._how_to_start()}`."
            ) from None
        problems = []
        threads = {address: worker["nthreads"] for address, worker in self._client.scheduler_info()["workers"].items()}
        for address, found in self._client.run(_describe, list(self._settings), on_error="return").items():
            if isinstance(found, Exception):
                problems.append(f"{address} cannot import this version of spectral-edge ({found})")
                continue
            differences = version_differences(versions(), found[0], address)
            if differences:
                problems.append(differences)
            if threads.get(address, 1) != 1:
                problems.append(
                    f"{address} has {threads[address]} threads, not 1: runs in one process disturb each other"
                )
            problems += [
                f"{address} has {name}={found[1].get(name)}, not {value}: the last digits depend on it"
                for name, value in self._settings.items()
                if found[1].get(name) != value
            ]
        if problems:
            lines = "\n  ".join(problems)
            raise EngineError(
                f"{self._address}: workers that would not compute the same as this command:\n  {lines}\n"
                "Install the same versions there, or stop these workers, and start them with "
                f"`{self._how_to_start()}`. Nothing was placed."
            )

    def _how_to_start(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in self._settings.items())
        return _START_WORKERS.format(address=self._address, settings=settings)

    def _lost(self) -> EngineError:
        return EngineError(
            f"{self._address}: the connection to the scheduler was lost. Finished runs are kept; start the scheduler "
            "and its workers again, and the same command continues."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, DaskTimeoutError, ValueError) as problem:
        raise EngineError(
            f"{address}: no dask scheduler answers there ({problem}). Check the address, start one with "
            "`dask scheduler`, or leave --scheduler out to start one on this machine."
        ) from None


def _cluster(jobs: int) -> LocalCluster:
    return LocalCluster(
        n_workers=jobs, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=logging.ERROR
    )


def _describe(settings: list[str]) -> tuple[dict[str, str], dict[str, str | None]]:
    """What a worker computes with: versions, and the environment variables named."""
    return versions(), {name: os.environ.get(name) for name in settings}
