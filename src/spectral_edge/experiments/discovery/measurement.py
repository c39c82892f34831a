"""Discover the basis of one run from each of its sources, and compare with the task that was trained."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spectral_edge.discovery import DiscoveredBasis, agreement, discover_basis
from spectral_edge.experiments.discovery.sources import Functions, functions_of, pairs_of
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import (
    Discoveries,
    DiscoveryRow,
    DiscoverySource,
    KnownShare,
    describe_environment,
)
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["analysis_step", "discover_run", "discover_source", "discoveries_path"]

_VERSION = 2
_NULL_DRAWS = 100
_FEWER: tuple[DiscoverySource, ...] = ("v1", "random_one", "energy")
_WITH_FEWER_PAIRS: tuple[DiscoverySource, ...] = ("edge", "logits")
_PAPER_P = 97
_LAWLESS = ("random_table", "x2_y2", "x2_xy_y2", "x3_xy")
# Nonzero residues, which operations on one trunk share, are a group under this one.
_GROUP_ON_A_TRUNK = "mul"
_ALTERNATIVES: tuple[DiscoverySource, ...] = ("embedding", "residual", "logits")
# Functions of one token, or squares of functions of two, know the group and not whether a ∘ b or a ∘ b^-1 is asked.
_ONLY_THE_GROUP = ("embedding", "energy", "energy_off_diagonal", "energy_many")
_CURVE_STEPS = range(300, 3901, 300)
_FRACTIONS = (0.2, 0.3, 0.4)


def discoveries_path(run: Path, config: AnalysisConfig) -> Path:
    """Where a run keeps its discoveries; another configuration or version of the procedure has another place."""
    text = f"{_VERSION}:{config.model_dump_json()}"
    return run / f"discoveries-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def analysis_step(run: TrainedRun, config: AnalysisConfig) -> int:
    """The stop, or the end of a run that never generalises; the first step with a full window if that is later."""
    last = run.run.snapshot_steps()[-1]
    step, full = run.step_of("stop") or last, config.window * config.stride
    return max(step, full) if full <= last else step


def discover_run(path: Path, config: AnalysisConfig) -> list[DiscoveryRow]:
    """Discover from every source that the evidence asks of such a run, or read what is there.

    Raises:
        StoreError: the run is missing or damaged.
    """
    stored = discoveries_path(path, config)
    if stored.exists():
        return Discoveries.read(stored).rows
    run = TrainedRun.open(path)
    rows = [discover_source(run, step, source, config, fraction) for step, source, fraction in _wanted(run, config)]
    Discoveries(environment=describe_environment(), rows=rows).write(stored)
    return rows


def _wanted(run: TrainedRun, config: AnalysisConfig) -> Iterator[tuple[int, DiscoverySource, float]]:
    """Step, source and share of the pairs of every discovery on a run."""
    name, step = run.training.operation, analysis_step(run, config)
    yield step, "edge", 1.0
    yield step, "random", 1.0
    if "+" in name:
        return
    yield step, "shuffled", 1.0
    if ".renamed" not in name:
        yield 0, "untrained", 1.0
    if not _is_learned(name):
        return
    for source in _ALTERNATIVES:
        yield step, source, 1.0
    if ".renamed" in name:
        return
    for source in _FEWER:
        yield step, source, 1.0
    if name in ("add", "sub", "mul") and run.training.p == _PAPER_P:
        yield step, "energy_off_diagonal", 1.0
        yield step, "energy_many", 1.0
        for early in _CURVE_STEPS:
            yield early, "edge", 1.0
            yield early, "random", 1.0
        for fraction in _FRACTIONS:
            for source in _WITH_FEWER_PAIRS:
                yield step, source, fraction


def _is_learned(name: str) -> bool:
    return name not in ("random_table", "x2_xy_y2", "x3_xy")


def discover_source(
    run: TrainedRun, step: int, source: DiscoverySource, config: AnalysisConfig, fraction: float = 1.0
) -> DiscoveryRow:
    """Discover from one source at one step, on a random share of the pairs, and compare with the labels."""
    started = time.monotonic()
    functions = functions_of(run, step, source, config)
    if fraction < 1:
        rng = np.random.default_rng(config.seed)
        functions = functions.on(rng.permutation(len(functions.pairs))[: int(fraction * len(functions.pairs))])
    n = len(functions.tokens)
    found = discover_basis(
        functions.values, n, pairs=functions.pairs, residues=functions.tokens, null_draws=_NULL_DRAWS, seed=config.seed
    )
    return _row(run, step, source, config, functions, found, round(time.monotonic() - started, 2))


def _row(
    run: TrainedRun,
    step: int,
    source: DiscoverySource,
    config: AnalysisConfig,
    functions: Functions,
    found: DiscoveredBasis,
    seconds: float,
) -> DiscoveryRow:
    t = run.training
    labelled = next((task for task in run.tasks if task.name == _GROUP_ON_A_TRUNK), run.task)
    renamed = re.fullmatch(r"(.+)\.renamed(\d+)", run.task.name)
    chosen, group = _agreements(found, pairs_of(run)[0], labelled.labels)
    law, window = found.law, functions.window
    accuracy = next((line["test_accuracy"] for line in run.metrics if line["step"] == step), None)
    has_law = labelled.name not in _LAWLESS
    reached = group if source in _ONLY_THE_GROUP else chosen
    return DiscoveryRow(
        run_id=run.config.run_id,
        operation=t.operation if renamed is None else renamed[1],
        renaming=None if renamed is None else int(renamed[2]),
        p=t.p,
        seed=t.seed,
        step=step,
        test_accuracy=accuracy,
        source=source,
        directions=functions.directions,
        window=window,
        stride=None if window is None else config.stride,
        centered=None if window is None else config.centered,
        null_draws=_NULL_DRAWS,
        null_seed=config.seed,
        pairs_known=len(functions.pairs) / len(run.task.pairs),
        answer=found.answer,
        pvalue=found.pvalue,
        evenness=_finite(found.evenness),
        commutator=_finite(found.commutator),
        dimension=found.scree.functions.shape[1],
        interaction_share=float(found.interaction_share.mean()),
        dispersions=[round(float(d), 5) for d in found.circles.dispersion],
        frequencies=None if found.frequencies is None else found.frequencies.tolist(),
        law=None if law is None else law.group.name,
        kind=None if law is None else law.kind,
        law_share=None if law is None else law.share,
        law_pvalue=None if law is None else _finite(law.pvalue),
        task_share=_task_share(functions, pairs_of(run)[0], labelled.labels),
        agreement=chosen if has_law else None,
        group_agreement=group if has_law else None,
        recovered=has_law and reached == 1.0,
        known=[
            KnownShare(
                grouping=c.grouping,
                share=c.share,
                null_quantile95=c.null_quantile95,
                pvalue_adjusted=c.pvalue_adjusted,
            )
            for c in found.candidates
        ],
        seconds=seconds,
    )


def _agreements(found: DiscoveredBasis, pairs: np.ndarray, labels: np.ndarray) -> tuple[float | None, float | None]:
    """Agreement with the labels of the classes that were found, and the best of sum and difference of that group."""
    if found.law is None:
        return None, None
    a, b = pairs.T
    group = found.law.group
    options = [found.law.classes]
    if group.abelian:
        options += [group.classes("sum"), group.classes("difference")]
    values = [agreement(classes[a, b], labels) for classes in options]
    return values[0], max(values)


def _task_share(functions: Functions, pairs: np.ndarray, labels: np.ndarray) -> float:
    """Share of the functions' variance over inputs, main effects included, between the classes of the labels."""
    place = {pair: i for i, pair in enumerate(map(tuple, pairs.tolist()))}
    known = labels[[place[pair] for pair in map(tuple, functions.pairs.tolist())]]
    values = functions.values.astype(np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    sizes = np.bincount(known)
    between = 0.0
    for mode in values:
        sums = np.stack([np.bincount(known, weights=c, minlength=len(sizes)) for c in mode.T])
        inside = (sums[:, sizes > 0] ** 2 / sizes[sizes > 0]).sum()
        between += float(inside) / float((mode**2).sum()) / len(values)
    return between


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
