"""Copies of the paper's runs that no experimenter would call different, trained and measured.

Copy 0 is the published protocol. Copy c has as learning rate the c-th float32 above the published one: c parts in 8.6
million. What copies of one seed do not share is not the seed's, nor would another machine repeat it, whose sums end in
other digits.

Settled before the first run: five copies of each of three seeds of the four operations, each to the published stop; the
edge of the published window, stride and centring; each operation's own basis; held-out pairs; v1 … v5, which published
frequencies speak of; twenty random directions beside them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from spectral_edge.bases import grouping
from spectral_edge.comparison import Concentration, Isotropic, compare
from spectral_edge.engines import call_all
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.modes import Peak
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import CopyRow, PartingRow, Rounding, describe_environment, hold_lock, make_folder
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.profiles import GROKKING, SEEDS, copy_number, copy_rate
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import RunConfig, run_folder, train_run

__all__ = ["compare_copies", "measure_copy", "part_ways", "rounding_runs"]

_COPIES, _DIRECTIONS, _RANDOM_DIRECTIONS = 5, 5, 20


def rounding_runs() -> list[RunConfig]:
    """The runs of the comparison, by operation, seed and copy; each at least as long as the published window.

    >>> [run.training.learning_rate for run in rounding_runs()[:2]]
    [0.001, 0.0010000001639127731]
    """
    config = AnalysisConfig()
    return [
        RunConfig(
            training=TrainingConfig(
                operation=operation, seed=seed, learning_rate=copy_rate(copy), min_steps=config.window * config.stride
            )
        )
        for operation in GROKKING
        for seed in SEEDS
        for copy in range(_COPIES)
    ]


def compare_copies(
    out: Path,
    runs: Sequence[RunConfig],
    config: AnalysisConfig,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Rounding:
    """Train and measure runs into ``out`` and write ``out/rounding.json``; nothing trained is trained again.

    Args:
        out: result directory; runs go to ``out/runs/<run id>``.
        runs: which, such as :func:`rounding_runs`.
        config: window, stride and centring of edges, and the seed of random directions.
        jobs: runs at a time, one thread each; as many as cores if left out.
        say: called with a line for each run that is done.

    Raises:
        StoreError: ``out`` cannot be written, or a run is damaged or in use.
        EngineError: a worker process was killed.
        ValueError: a run never generalises.
        FloatingPointError: a run diverges.
    """
    make_folder(out)
    with hold_lock(out / "lock"):
        found = call_all({run.run_id: (_complete, out, run, config) for run in runs}, jobs, say)
    rows: list[CopyRow] = list(found.values())
    rounding = Rounding(environment=describe_environment(), copies=rows, partings=part_ways(out, rows))
    rounding.write(out / "rounding.json")
    return rounding


def measure_copy(path: Path, config: AnalysisConfig) -> CopyRow:
    """Measure the edge of one run at its stop, or at the first step with a full window, and random directions there.

    Raises:
        StoreError: the run is missing or damaged.
        ValueError: it never generalises.
    """
    run = TrainedRun.open(path)
    torch.set_num_threads(run.config.threads)
    if run.stop_step is None:
        raise ValueError(
            f"{path}: the run never met the stopping rule, so there is no stop to compare copies at; move it away and "
            "leave it out, and say so beside the table"
        )
    step = max(run.stop_step, config.window * config.stride)
    model, parameters = run.model_at(step)
    edge = run.edge(step, config.window, config.stride, config.centered)
    test = run.held_out_pairs
    basis = BASIS[run.task.name]
    groups = grouping(basis, run.training.p)
    labels = groups(test)
    found = compare(
        model,
        edge,
        test,
        {kind.name: kind(labels, groups.order) for kind in (Concentration, Peak)},
        parameters=parameters,
        k=_DIRECTIONS,
        nulls=Isotropic.name,
        draws=_RANDOM_DIRECTIONS,
        seed=config.seed,
        quiet=True,
    )
    concentration, peak = ([row for row in found.rows if row.statistic == kind.name] for kind in (Concentration, Peak))
    return CopyRow(
        run_id=run.config.run_id,
        operation=run.task.name,
        seed=run.training.seed,
        copy_number=copy_number(run.training.learning_rate),
        learning_rate=run.training.learning_rate,
        step=step,
        window=config.window,
        stride=config.stride,
        centered=config.centered,
        grouping=basis,
        concentration=[row.measured for row in concentration],
        peak=[int(row.measured) for row in peak],
        random_seed=config.seed,
        random_concentration=concentration[0].values.tolist(),
        random_peak=peak[0].values.astype(int).tolist(),
    )


def part_ways(out: Path, copies: Sequence[CopyRow]) -> list[PartingRow]:
    """Follow each copy's distance from its run as published, and that of two seeds as published, over common snapshots.

    Raises:
        StoreError: a run is missing or damaged.
    """
    published = {(row.operation, row.seed): row for row in copies if row.copy_number == 0}
    pairs = [
        (row, published[row.operation, row.seed], True)
        for row in copies
        if row.copy_number > 0 and (row.operation, row.seed) in published
    ]
    pairs += [
        (first, second, False)
        for first, second in itertools.combinations(published.values(), 2)
        if first.operation == second.operation
    ]
    return [_parting(out, *pair) for pair in pairs]


def _parting(out: Path, row: CopyRow, other: CopyRow, same_seed: bool) -> PartingRow:
    left, right = (TrainedRun.open(out / "runs" / name) for name in (row.run_id, other.run_id))
    steps = sorted(set(left.run.snapshot_steps()) & set(right.run.snapshot_steps()))
    distance = []
    for step in steps:
        here, there = left.weights_at(step).double(), right.weights_at(step).double()
        distance.append(float((here - there).norm() / there.norm()))
    return PartingRow(
        operation=row.operation,
        run_id=row.run_id,
        other_run_id=other.run_id,
        same_seed=same_seed,
        steps=steps,
        distance=distance,
    )


def _complete(out: Path, run: RunConfig, config: AnalysisConfig) -> CopyRow:
    path = run_folder(out, run)
    train_run(path, run)
    return measure_copy(path, config)
