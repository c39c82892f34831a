"""Everything that basis discovery is tested on: train what is missing, discover, several runs at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from spectral_edge.store import Discoveries, DiscoveryRow, describe_environment, hold_lock, write_discoveries
from spectral_edge.studies.discovery.measurement import discover_run
from spectral_edge.studies.profiles import SEEDS, discovery_runs
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.training_run import RunConfig, run_folder, train_run

__all__ = ["gather_evidence"]


def gather_evidence(
    out: Path,
    seeds: tuple[int, ...] = SEEDS,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
    config: AnalysisConfig | None = None,
    runs: list[RunConfig] | None = None,
) -> Discoveries:
    """Train and analyse all runs into ``out`` and write ``out/discoveries.json``; nothing finished is done again.

    Args:
        out: result directory; runs go to ``out/runs/<run id>``.
        seeds: of the trainings.
        jobs: runs at a time, one thread each; as many as cores if left out.
        say: called with a line for each run that is done.
        config: window, stride and centring of edges; the default is the published one.
        runs: other runs than those of the evidence.

    Raises:
        StoreError: ``out`` cannot be written, or a run is damaged or in use.
    """
    analysis = config or AnalysisConfig()
    wanted = discovery_runs(seeds) if runs is None else runs
    out.mkdir(parents=True, exist_ok=True)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    rows: dict[str, list[DiscoveryRow]] = {}
    with (
        hold_lock(out / "lock"),
        ProcessPoolExecutor(jobs or os.cpu_count(), get_context("spawn")) as pool,
    ):
        pending = {pool.submit(_complete, out, run, analysis): run.run_id for run in wanted}
        for job in as_completed(pending):
            rows[pending[job]] = job.result()
            if say:
                say(f"{len(rows)} of {len(wanted)} runs done: {pending[job]}")
    found = Discoveries(environment=describe_environment(), rows=[row for run in wanted for row in rows[run.run_id]])
    write_discoveries(out / "discoveries.json", found)
    return found


def _complete(out: Path, run: RunConfig, config: AnalysisConfig) -> list[DiscoveryRow]:
    path = run_folder(out, run)
    train_run(path, run)
    return discover_run(path, config)
