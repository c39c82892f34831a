"""The unit of a sweep: one run directory, brought to its end in whatever process an engine places it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spectral_edge.engines.versions import version_differences, versions
from spectral_edge.replication.completion import complete_run
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import RunLockedError, StoreError, read_lock
from spectral_edge.subjects.training_run import RunConfig, run_folder

__all__ = ["Outcome", "complete_unit"]


@dataclass(frozen=True)
class Outcome:
    """How one run of a sweep ended.

    Attributes:
        run_id: the run.
        state: finished; failed; or busy, in the hands of another process.
        computed: whether this command computed any of it; False if it was found as it is.
        host, pid: where.
        why: what went wrong, with the remedy.
    """

    run_id: str
    state: Literal["finished", "failed", "busy"]
    computed: bool = False
    host: str | None = None
    pid: int | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dict(self.__dict__)


def complete_unit(
    root: Path, run: RunConfig, analysis: AnalysisConfig, claims: tuple[str, ...], expected: Mapping[str, str]
) -> Outcome:
    """Train and analyse one run; whatever goes wrong with it is in the outcome and stops no other run.

    Args:
        root: result directory; the run goes to ``root/runs/<run id>``.
        run: what to train.
        analysis, claims: as :func:`complete_run`.
        expected: versions of the command that placed this; with others nothing is computed.
    """
    host, pid = socket.gethostname(), os.getpid()

    def failed(why: str) -> Outcome:
        return Outcome(run.run_id, "failed", host=host, pid=pid, why=why)

    differences = version_differences(expected, versions(), host)
    if differences:
        return failed(f"{differences}. Install the same versions there; the same command continues.")
    path = run_folder(root, run)
    try:
        if read_lock(path / "lock").held:  # asked first: the lock itself would wait a while for it
            return Outcome(run.run_id, "busy", host=host, pid=pid)
        computed = complete_run(path, run, analysis, claims)
    except RunLockedError:
        return Outcome(run.run_id, "busy", host=host, pid=pid)
    except (StoreError, FloatingPointError, ValueError) as problem:
        return failed(str(problem))
    except Exception as problem:
        return failed(f"{type(problem).__name__} on {host}: {problem}")
    return Outcome(run.run_id, "finished", computed, host, pid)
