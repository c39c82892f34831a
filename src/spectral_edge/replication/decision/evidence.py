"""Train and measure the runs of an arm, resumably, and gather their rows into small files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from spectral_edge.engines import call_all
from spectral_edge.replication.decision.arms import Arm, runs_of
from spectral_edge.replication.decision.measure import measure_hybrid, measure_modes
from spectral_edge.replication.decision.protocol import PROTOCOL, Protocol
from spectral_edge.replication.decision.series import measure_series
from spectral_edge.replication.decision.tables import gathered, read_table, write_table
from spectral_edge.store import StoreError, hold_lock
from spectral_edge.subjects import RunConfig, run_folder, train_run
from spectral_edge.subjects.profiles import GROKKING
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["gather_arm", "measure_arm"]

Say = Callable[[str], None]


def measure_arm(
    out: Path, arm: Arm, jobs: int | None = None, say: Say | None = None, protocol: Protocol = PROTOCOL
) -> None:
    """Train every run of an arm into ``out/runs`` and measure it into ``out/measured/<arm>``.

    Stopped at any moment, the same call continues: what is trained or measured is not done again.

    Args:
        out: result directory.
        arm: which runs.
        jobs: runs at a time, one thread each; as many as cores if left out.
        say: called with a line for each run that is done.
        protocol: by which they are measured.

    Raises:
        StoreError: ``out`` cannot be written, a run is damaged, or a table is of another protocol.
        EngineError: a worker process was killed.
    """
    folder = out / "measured" / arm
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / "lock"):
        calls = {run.run_id: (_complete, out, arm, run, protocol) for run in runs_of(arm)}
        call_all(calls, jobs, say)
        if arm == "paper_seed":
            call_all({f"hybrid {name}": (_hybrids, out, name, protocol) for name in GROKKING}, jobs, say)


def gather_arm(out: Path, arm: Arm, kept: Path, protocol: Protocol = PROTOCOL) -> list[Path]:
    """Join what is measured of an arm so far into ``kept/<arm>.parquet`` and ``kept/<arm>.series.parquet``.

    Raises:
        StoreError: nothing is measured, or as :func:`~spectral_edge.replication.decision.tables.gathered`.
    """
    kept.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in ("rows", "series"):
        paths = sorted((out / "measured" / arm).glob(f"*.{kind}.parquet"))
        if not paths:
            continue
        target = kept / f"{arm}{'' if kind == 'rows' else '.series'}.parquet"
        write_table(target, gathered(paths, protocol).rows(named=True))
        written.append(target)
    if not written:
        raise StoreError(f"{out / 'measured' / arm}: nothing is measured there yet; run `spectral-edge decide` first.")
    return written


def _complete(out: Path, arm: Arm, run: RunConfig, protocol: Protocol) -> None:
    path, measured = run_folder(out, run), out / "measured" / arm
    tables = {kind: measured / f"{run.run_id}.{kind}.parquet" for kind in ("rows", "series")}
    wanted = [kind for kind in tables if kind == "series" or _reads_modes(arm)]
    missing = [kind for kind in wanted if not _is_there(tables[kind], protocol)]
    if not missing:
        return
    train_run(path, run)
    trained = TrainedRun.open(path)
    torch.set_num_threads(run.threads)
    if "series" in missing:
        write_table(tables["series"], measure_series(trained, arm, protocol))
    if "rows" in missing and trained.stop_step is not None:
        write_table(tables["rows"], measure_modes(trained, arm, protocol))


def _hybrids(out: Path, operation: str, protocol: Protocol) -> None:
    """Directions of each copy on the weights of the next."""
    runs = [run for run in runs_of("paper_seed") if run.training.operation == operation]
    for number, run in enumerate(runs):
        target = out / "measured" / "paper_seed" / f"hybrid-{operation}-{number}.rows.parquet"
        if not _is_there(target, protocol):
            edges, weights = (TrainedRun.open(run_folder(out, one)) for one in (run, runs[(number + 1) % len(runs)]))
            write_table(target, measure_hybrid(edges, weights, protocol))


def _reads_modes(arm: Arm) -> bool:
    return arm in ("seeds", "copies", "paper_seed")


def _is_there(path: Path, protocol: Protocol) -> bool:
    if not path.exists():
        return False
    read_table(path, protocol)
    return True
