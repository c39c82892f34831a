"""Everything that basis discovery is tested on: train what is missing, discover, several runs at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from spectral_edge.store import Discoveries, DiscoveryRow, describe_environment, hold_lock, write_discoveries
from spectral_edge.studies.discovery.measurement import discover_run
from spectral_edge.studies.engines import LocalEngine
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.training_run import RunConfig, run_folder, train_run

__all__ = ["gather_evidence"]

_POLL_SECONDS = 0.5


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
        EngineError: a worker process was killed.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[DiscoveryRow]] = {}
    with hold_lock(out / "lock"), LocalEngine(jobs or os.cpu_count() or 1) as engine:
        for run in runs:
            engine.place(run.run_id, _complete, out, run, config)
        while len(rows) < len(runs):
            for ended in engine.collect(_POLL_SECONDS):
                rows[ended.name] = ended.result()
                if say:
                    say(f"{len(rows)} of {len(runs)} runs done: {ended.name}")
    found = Discoveries(environment=describe_environment(), rows=[row for run in runs for row in rows[run.run_id]])
    write_discoveries(out / "discoveries.json", found)
    return found


def _complete(out: Path, run: RunConfig, config: AnalysisConfig) -> list[DiscoveryRow]:
    path = run_folder(out, run)
    train_run(path, run)
    return discover_run(path, config)
