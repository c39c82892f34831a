"""Everything that basis discovery is tested on: train what is missing, discover, several runs at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spectral_edge.engines import call_all
from spectral_edge.experiments.discovery.measurement import discover_run
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import Discoveries, DiscoveryRow, describe_environment, hold_lock, make_folder
from spectral_edge.subjects.training_run import RunConfig, run_folder, train_run

__all__ = ["gather_evidence"]


def gather_evidence(
    out: Path,
    runs: list[RunConfig],
    config: AnalysisConfig,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Discoveries:
    """Train and analyse runs into ``out`` and write ``out/discoveries.json``; nothing finished is done again.

    Args:
        out: result directory; runs go to ``out/runs/<run id>``.
        runs: which, such as :func:`~spectral_edge.subjects.profiles.discovery_runs`.
        config: window, stride and centring of edges, seed of random directions and of nulls.
        jobs: runs at a time, one thread each; as many as cores if left out.
        say: called with a line for each run that is done.

    Raises:
        StoreError: ``out`` cannot be written, or a run is damaged or in use.
        EngineError: a worker process was killed.
    """
    make_folder(out)
    with hold_lock(out / "lock"):
        rows = call_all({run.run_id: (_complete, out, run, config) for run in runs}, jobs, say)
    found = Discoveries(environment=describe_environment(), rows=[row for of_run in rows.values() for row in of_run])
    found.write(out / "discoveries.json")
    return found


def _complete(out: Path, run: RunConfig, config: AnalysisConfig) -> list[DiscoveryRow]:
    path = run_folder(out, run)
    train_run(path, run)
    return discover_run(path, config)
