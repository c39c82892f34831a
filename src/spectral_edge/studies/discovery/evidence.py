"""Everything that basis discovery is tested on: train what is missing, discover, several runs at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path

from spectral_edge.store import Discoveries, DiscoveryRow, describe_environment, hold_lock, write_discoveries
from spectral_edge.studies.discovery.measurement import discover_run
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.training_run import RunConfig, run_folder, train_run
from spectral_edge.studies.workers import worker_pool

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
        runs: which, such as :func:`~spectral_edge.studies.profiles.discovery_runs`.
        config: window, stride and centring of edges, seed of random directions and of nulls.
        jobs: runs at a time, one thread each; as many as cores if left out.
        say: called with a line for each run that is done.

    Raises:
        StoreError: ``out`` cannot be written, or a run is damaged or in use.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[DiscoveryRow]] = {}
    with hold_lock(out / "lock"), worker_pool(jobs or os.cpu_count() or 1) as pool:
        pending = {pool.submit(_complete, out, run, config): run.run_id for run in runs}
        for job in as_completed(pending):
            rows[pending[job]] = job.result()
            if say:
                say(f"{len(rows)} of {len(runs)} runs done: {pending[job]}")
    found = Discoveries(environment=describe_environment(), rows=[row for run in runs for row in rows[run.run_id]])
    write_discoveries(out / "discoveries.json", found)
    return found


def _complete(out: Path, run: RunConfig, config: AnalysisConfig) -> list[DiscoveryRow]:
    path = run_folder(out, run)
    train_run(path, run)
    return discover_run(path, config)
