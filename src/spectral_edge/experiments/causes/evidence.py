"""Train and measure every run of the protocol, resumably, and join what is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spectral_edge.engines import call_all
from spectral_edge.experiments.causes.at_stop import measure_ablation, measure_steering
from spectral_edge.experiments.causes.bending import measure_bending, measure_metric, windows_of
from spectral_edge.experiments.causes.protocol import PROTOCOL, TRAINING_ARMS, CausesProtocol
from spectral_edge.experiments.causes.rows import Rows
from spectral_edge.experiments.causes.training import measure_arm, metrics_of, train_to_memorised
from spectral_edge.replication.decision.tables import read_table, write_table
from spectral_edge.store import StoreError, make_folder
from spectral_edge.subjects import RunConfig, run_folder, train_run
from spectral_edge.subjects.profiles import single_run
from spectral_edge.subjects.trained_run import TrainedRun

if TYPE_CHECKING:
    import polars

__all__ = ["KINDS", "gather_causes", "measure_run"]

KINDS = ("ablation", "steering", "bending", "metric", "training")
"""Tables, each a file of a run while it is measured and one file when all are."""

Say = Callable[[str], None]


def gather_causes(
    out: Path, jobs: int | None = None, say: Say | None = None, protocol: CausesProtocol = PROTOCOL
) -> dict[str, polars.DataFrame]:
    """Train and measure every run, several at a time, and write their tables to ``out/<kind>.parquet``.

    Stopped at any moment, the same call continues: what is trained or measured is not done again.

    Raises:
        StoreError: ``out`` cannot be written, a run is damaged, or a table is of another protocol.
        EngineError: a worker process was killed.
        ValueError: a run has no stop.
    """
    import polars

    measured = out / "measured"
    make_folder(measured)
    # Those with training arms take longest, so they come first.
    runs = [single_run(name, seed) for seed in sorted(protocol.seeds) for name in protocol.operations]
    runs.sort(key=lambda run: run.training.seed not in protocol.trained_seeds)
    call_all({run.run_id: (measure_run, out, run, protocol) for run in runs}, jobs, say)
    found = {}
    for kind in KINDS:
        paths = [measured / f"{name}.{kind}.parquet" for run in runs for name in _parts(run, kind, protocol)]
        if paths:
            found[kind] = polars.concat([read_table(path, protocol) for path in paths], how="vertical_relaxed")
            write_table(out / f"{kind}.parquet", found[kind].rows(named=True))
    return found


def measure_run(out: Path, config: RunConfig, protocol: CausesProtocol) -> None:
    """Train one run, and measure what is missing of it, into ``out/measured``.

    Raises:
        StoreError, ValueError: as :func:`gather_causes`.
    """
    tables = {
        kind: [out / "measured" / f"{name}.{kind}.parquet" for name in _parts(config, kind, protocol)] for kind in KINDS
    }
    if all(path.exists() for paths in tables.values() for path in paths):
        return
    path = run_folder(out, config)
    train_run(path, config)
    run = TrainedRun.open(path)
    torch.set_num_threads(config.threads)
    measures: dict[str, Callable[[TrainedRun, CausesProtocol], Rows]] = {
        "ablation": measure_ablation, "steering": measure_steering, "bending": measure_bending,
    }  # fmt: skip
    for kind, measure in measures.items():
        for table in tables[kind]:
            if not table.exists():
                _write(table, run, protocol, measure(run, protocol))
    _train_again(run, protocol, [path for kind in ("metric", "training") for path in tables[kind]])


def _train_again(run: TrainedRun, protocol: CausesProtocol, tables: list[Path]) -> None:
    """What needs the training itself: the optimizer's metric, and the arms."""
    missing = [table for table in tables if not table.exists()]
    if not missing:
        return
    start = train_to_memorised(run, protocol)
    for table in missing:
        if table.name.endswith(".metric.parquet"):
            steps = [step for step, _ in windows_of(run, protocol).values()]
            _write(table, run, protocol, measure_metric(run, *metrics_of(start, steps, protocol), protocol))
        else:
            arm = next(arm for arm in TRAINING_ARMS if table.name == f"{run.config.run_id}.{arm}.training.parquet")
            _write(table, run, protocol, measure_arm(start, arm, protocol))


def _parts(run: RunConfig, kind: str, protocol: CausesProtocol) -> list[str]:
    """Names of the files of a kind that a run has."""
    if kind in ("ablation", "steering"):
        return [run.run_id]
    if run.training.seed not in protocol.trained_seeds:
        return []
    return [f"{run.run_id}.{arm}" for arm in TRAINING_ARMS] if kind == "training" else [run.run_id]


def _write(path: Path, run: TrainedRun, protocol: CausesProtocol, rows: Rows) -> None:
    if not rows:
        raise StoreError(f"{path}: nothing was measured of {run.path}")
    training = run.training
    origin: dict[str, Any] = {
        "protocol": protocol.digest, "run_id": run.config.run_id, "task": training.operation, "seed": training.seed,
        "stride": protocol.stride,
    }  # fmt: skip
    write_table(path, [origin | row for row in rows])
