"""Train and measure the runs of an arm, resumably, and gather their rows into small files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from spectral_edge.engines import call_all
from spectral_edge.replication.claims.c05_features import PUBLISHED
from spectral_edge.replication.decision.arms import (
    COPIED_SEEDS,
    FRESH_SEEDS,
    RESERVE_SEEDS,
    Arm,
    runs_of,
)
from spectral_edge.replication.decision.instruments import measure_cross_terms, measure_features
from spectral_edge.replication.decision.measure import measure_hybrid, measure_modes
from spectral_edge.replication.decision.protocol import PROTOCOL, Protocol
from spectral_edge.replication.decision.sensitivity import measure_sensitivity
from spectral_edge.replication.decision.series import measure_series
from spectral_edge.replication.decision.statistics import GAIN, PRINTED_R2
from spectral_edge.replication.decision.tables import gathered, read_table, write_table
from spectral_edge.replication.decision.trunk import measure_trunk
from spectral_edge.store import StoreError, hold_lock, make_folder
from spectral_edge.subjects import RunConfig, run_folder, train_run
from spectral_edge.subjects.profiles import GROKKING, single_run
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["gather_arm", "is_asked", "measure_arm", "measure_reproduction", "replaced_seeds", "restore_arm"]

# Tables of a run, and of an arm: rows of directions, spectra over training, rows under other settings.
_KINDS = ("rows", "series", "sensitivity")

# By which code a table is measured, where it is not the first. Raised when a number changes its meaning: tables of
# an older version are measured again.
_VERSIONS: Mapping[Callable[..., Any], int] = {measure_modes: 2}

Say = Callable[[str], None]
Measure = Callable[[TrainedRun, str, Protocol], list[dict[str, Any]]]
Hybrid = Callable[[TrainedRun, TrainedRun, Protocol], list[dict[str, Any]]]


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
        ValueError: more seeds of an operation do not generalise than there are reserves.
    """
    folder = out / "measured" / arm
    make_folder(folder)
    with hold_lock(folder / "lock"):
        before = None
        while (replaced := replaced_seeds(out, protocol)) != before:  # until every seed of the arm has generalised
            before = replaced
            read = _read_by_instruments(arm, replaced)
            calls = {
                run.run_id: (_complete, out, arm, run, protocol, run.run_id in read) for run in runs_of(arm, replaced)
            }
            call_all(calls, jobs, say)
        if arm == "paper_seed":
            call_all({f"hybrid {name}": (_hybrids, out, name, protocol) for name in GROKKING}, jobs, say)


def is_asked(run: RunConfig) -> bool:
    """Whether the questions about directions are asked of such a run: one operation that generalises, all residues.

    >>> is_asked(single_run("add", 42))
    True
    """
    training = run.training
    return training.operation in GROKKING and training.weight_decay > 0 and not training.nonzero


def measure_reproduction(path: Path, run: RunConfig, folder: Path, protocol: Protocol = PROTOCOL) -> None:
    """Measure a trained run as the arm of seeds is, into ``folder/<run id>.rows.parquet`` and ``….series.parquet``.

    Nothing is measured twice, nor of a run that no question is asked of; a run without a stop has a series only.

    Raises:
        StoreError: the run is damaged, or a table is, or it is of another protocol.
        ValueError: the run is shorter than ten updates.
    """
    if not is_asked(run):
        return
    make_folder(folder)
    measures: dict[str, Measure] = {"series": measure_series, "rows": measure_modes}
    tables = {folder / f"{run.run_id}.{kind}.parquet": measure for kind, measure in measures.items()}
    _measure_missing(path, run, "reproduction", tables, protocol)


def replaced_seeds(out: Path, protocol: Protocol = PROTOCOL) -> dict[tuple[str, int], int]:
    """(operation, fresh seed) -> the reserve that takes its place, as its measured series ends without a stop.

    Raises:
        StoreError: a table is damaged or of another protocol.
        ValueError: an operation has no reserve left.
    """
    found = {}
    for operation in GROKKING:
        free = list(RESERVE_SEEDS)
        for seed in FRESH_SEEDS:
            taken = seed
            while _has_failed(out, single_run(operation, taken), protocol):
                if not free:
                    raise ValueError(f"{out}: more than {len(RESERVE_SEEDS)} seeds of {operation} do not generalise")
                taken = free.pop(0)
            if taken != seed:
                found[operation, seed] = taken
    return found


def _has_failed(out: Path, run: RunConfig, protocol: Protocol) -> bool:
    series = out / "measured" / "seeds" / f"{run.run_id}.series.parquet"
    return series.exists() and bool(read_table(series, protocol)["stop_step"].is_null().all())


def gather_arm(out: Path, arm: Arm, kept: Path, protocol: Protocol = PROTOCOL) -> list[Path]:
    """Join what is measured of an arm so far into ``kept/<arm>.parquet``, ``….series.parquet`` and so on.

    Series of seeds that did not generalise are kept, too: they say which seed was replaced.

    Raises:
        StoreError: nothing is measured, or as :func:`~spectral_edge.replication.decision.tables.gathered`.
    """
    make_folder(kept)
    replaced = replaced_seeds(out, protocol)
    wanted = {run.run_id for run in runs_of(arm, replaced)}
    if arm == "seeds":
        wanted |= {single_run(name, seed).run_id for name in GROKKING for seed in (*FRESH_SEEDS, *RESERVE_SEEDS)}
    original = {(task, by): seed for (task, seed), by in replaced.items()}
    written = []
    for kind in _KINDS:
        found = sorted((out / "measured" / arm).glob(f"*.{kind}.parquet"))
        paths = [path for path in found if path.name.split(".")[0] in wanted or path.name.startswith("hybrid-")]
        if paths:
            rows = [_at_its_place(row, original) for row in gathered(paths, protocol).rows(named=True)]
            written.append(_kept(kept, arm, kind))
            write_table(written[-1], rows)
    if not written:
        raise StoreError(f"{out / 'measured' / arm}: nothing is measured there yet; run `spectral-edge decide` first.")
    return written


def restore_arm(out: Path, arm: Arm, kept: Path, protocol: Protocol = PROTOCOL) -> int:
    """Write the tables of runs that ``kept`` has and ``out/measured`` has not; returns how many.

    So a part that was begun elsewhere, or whose run directories are gone, is not measured again.

    Raises:
        StoreError: a table is damaged or of another protocol.
    """
    import polars

    folder, written = out / "measured" / arm, 0
    make_folder(folder)
    for kind in _KINDS:
        source = _kept(kept, arm, kind)
        if not source.exists():
            continue
        table = read_table(source, protocol)
        own = table.with_columns(seed=polars.col("trained_seed")).drop("trained_seed")
        hybrid, statistic = polars.col("arm") == "hybrid", polars.col("statistic")
        of_terms = statistic.is_in([GAIN.statistic, PRINTED_R2.statistic]) & ~hybrid
        name = polars.when(hybrid).then(polars.format("hybrid-{}-{}", "task", "copy")).otherwise(polars.col("run_id"))
        ending = polars.lit(kind)
        if kind == "rows":
            of_features = polars.when(statistic == "jaccard").then(polars.lit("features.rows"))
            ending = of_features.when(of_terms).then(polars.lit("cross_terms.rows")).otherwise(ending)
        for (run, part), rows in own.group_by(name.alias("name"), ending.alias("part"), maintain_order=True):
            target = folder / f"{run}.{part}.parquet"
            if not target.exists():
                write_table(target, rows.rows(named=True))
                written += 1
    return written


def _kept(kept: Path, arm: Arm, kind: str) -> Path:
    return kept / f"{arm}{'' if kind == 'rows' else f'.{kind}'}.parquet"


def _at_its_place(row: dict[str, Any], original: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    """A row under the seed whose place its run has; ``trained_seed`` is the run's own."""
    own = row["seed"]
    return row | {"seed": original.get((row["task"], own), own), "trained_seed": own}


def _read_by_instruments(arm: Arm, replaced: Mapping[tuple[str, int], int]) -> set[str]:
    """Ids of the runs that autoencoders and cross-terms read: the first ten seeds, or what took their place."""
    if arm != "seeds":
        return set()
    pairs = [(name, replaced.get((name, seed), seed)) for name in GROKKING for seed in COPIED_SEEDS]
    return {single_run(*pair).run_id for pair in pairs}


def _complete(out: Path, arm: Arm, run: RunConfig, protocol: Protocol, by_instruments: bool) -> None:
    path, measured = run_folder(out, run), out / "measured" / arm
    tables = {
        measured / f"{run.run_id}.{kind}.parquet": measure
        for kind, measure in _measurements(arm, run, by_instruments).items()
    }
    if all(_is_there(table, measure, protocol) for table, measure in tables.items()):
        return
    train_run(path, run)
    _measure_missing(path, run, arm, tables, protocol)


def _measure_missing(path: Path, run: RunConfig, arm: str, tables: Mapping[Path, Measure], protocol: Protocol) -> None:
    missing = {table: measure for table, measure in tables.items() if not _is_there(table, measure, protocol)}
    if not missing:
        return
    trained = TrainedRun.open(path)
    torch.set_num_threads(run.threads)
    for table, measure in missing.items():
        if measure is measure_series or trained.step_of("stop") is not None:
            write_table(table, _versioned(measure, measure(trained, arm, protocol)))


def _measurements(arm: Arm, run: RunConfig, by_instruments: bool) -> dict[str, Measure]:
    """What is measured of a run, by the name of its table."""
    if arm == "controls":
        return {"series": measure_series}
    if arm == "trunk":
        return {"series": measure_series, "rows": measure_trunk}
    found: dict[str, Measure] = {"series": measure_series, "rows": measure_modes}
    if run.keep_updates:
        found["sensitivity"] = measure_sensitivity
    if by_instruments:
        found["features.rows"] = measure_features
        if run.training.operation == "x2_y2":
            found["cross_terms.rows"] = measure_cross_terms
    return found


def _hybrids(out: Path, operation: str, protocol: Protocol) -> None:
    """Directions of each copy on the weights of the next."""
    runs = [run for run in runs_of("paper_seed") if run.training.operation == operation]
    place = out / "measured" / "paper_seed"
    for number, run in enumerate(runs):
        wanted: dict[str, Hybrid] = {"rows": measure_hybrid}
        if operation in PUBLISHED:
            wanted["features.rows"] = _hybrid_features
        tables = {place / f"hybrid-{operation}-{number}.{kind}.parquet": measure for kind, measure in wanted.items()}
        missing = {table: measure for table, measure in tables.items() if not _is_there(table, measure, protocol)}
        if missing:
            edges, weights = (TrainedRun.open(run_folder(out, one)) for one in (run, runs[(number + 1) % len(runs)]))
            torch.set_num_threads(run.threads)
            for table, measure in missing.items():
                write_table(table, _versioned(measure, measure(edges, weights, protocol)))


def _hybrid_features(edges: TrainedRun, weights: TrainedRun, protocol: Protocol) -> list[dict[str, Any]]:
    return measure_features(weights, "hybrid", protocol, edges)


def _versioned(measure: Callable[..., Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"version": _VERSIONS.get(measure, 1)} for row in rows]


def _is_there(path: Path, measure: Callable[..., Any], protocol: Protocol) -> bool:
    """Whether a table is measured, and by the code of today."""
    if not path.exists():
        return False
    return int(read_table(path, protocol)["version"].min()) >= _VERSIONS.get(measure, 1)  # type: ignore[arg-type]
