"""Worker processes of one thread each, which end with the command that started them."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

__all__ = ["worker_pool"]

_POLL_SECONDS = 0.5


def worker_pool(jobs: int) -> ProcessPoolExecutor:
    """Open a pool of ``jobs`` processes: faster than threads at the size of these models, and reproducible."""
    # Linear-algebra libraries read these when they are loaded, so they must be set before the worker starts.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_end_with_parent, initargs=(os.getpid(),))


def _end_with_parent(parent: int) -> None:
    """End this worker when the command that started it is killed: an orphan would hold its run's lock."""

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()
