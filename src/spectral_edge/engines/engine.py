"""What every engine does: take named calls of a function, and say how each ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from spectral_edge.arithmetic import portable_settings, use_portable_arithmetic

__all__ = ["Ended", "Engine", "EngineError", "arithmetic_settings", "prepare_workers"]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Freed memory stays with the process: a step allocates and frees 40 MB of activations, and the system fills a page that
# was given back with zeros when it is asked for again, which took an eighth of the step. Variables of glibc.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}


class EngineError(Exception):
    """Work could not be placed, or the process that did it is gone. The message names which, and the remedy."""


@dataclass(frozen=True)
class Ended:
    """A call that is over.

    Attributes:
        name: under which it was placed.
        value: what the function returned; None if it raised.
        error: what it raised, or an :class:`~spectral_edge.engines.EngineError` if its process is gone.
    """

    name: str
    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value


class Engine(Protocol):
    """Places calls on processes of one thread each. Use as a context manager: leaving it stops what is under way.

    An engine never repeats a call that ended, and may repeat one whose process is gone; so a function that is placed
    must be resumable.
    """

    def place(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue ``function(*arguments)``; the function is importable where it runs, and all can be pickled."""

    def collect(self, seconds: float) -> list[Ended]:
        """Return what has ended since the last call; wait for the first up to ``seconds``.

        Raises:
            EngineError: nothing can be placed any more.
        """

    def __enter__(self) -> Self:
        """Return the engine."""

    def __exit__(self, *exception: object) -> None:
        """Stop what is under way and let go of the processes."""


def arithmetic_settings() -> dict[str, str]:
    """Environment variables that decide the last digits of what a process computes."""
    return {"OMP_NUM_THREADS": "1"} | portable_settings()


def prepare_workers() -> None:
    """Let processes that are started from now on compute alike on one thread each, which is fastest, too.

    Libraries read this from the environment when they are loaded.
    """
    os.environ.update(_ONE_THREAD | _KEEP_MEMORY)
    use_portable_arithmetic()
