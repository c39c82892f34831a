"""Measure one run by the protocol: its directions against every null, as rows of one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_edge.comparison import NullRow, Span, compare
from spectral_edge.replication.decision.directions import StepDirections
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.replication.decision.statistics import (
    HEAD_PURITY,
    PRINTED_R2,
    Measured,
    cross_term_statistics,
    purity_of,
    statistics_of,
)
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import Checkpoint
from spectral_edge.subjects.profiles import copy_number
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["PARALLEL", "measure_hybrid", "measure_modes", "provenance", "row_of", "stop_of"]

PARALLEL = 0.98
"""Beyond this cosine to the weights nothing is left to draw at random."""
_BULK = tuple(f"v{i}" for i in range(4, 9))
_AT_TRANSITION = ("v1", "v2", "v3", "v1-theta", "theta")


def measure_modes(run: TrainedRun, arm: str, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the edge at the stop, and at the transition for addition, of a run of one operation.

    Raises:
        ValueError: the run has no stop.
        StoreError: a file of the run is damaged.

    Cost: about 300 responses to held-out pairs, 50 s on one thread.
    """
    rows = []
    for checkpoint in _checkpoints(run):
        step = _step(run, checkpoint, protocol)
        directions = StepDirections.of(run, step, protocol)
        at = _Step(run, run, checkpoint, step, directions, protocol)
        rows += [row | {"arm": arm} for row in at.rows()]
    return rows


def measure_hybrid(edges: TrainedRun, weights: TrainedRun, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of one training's directions applied to another's weights, checkpoint by checkpoint; errors as above."""
    rows = []
    for checkpoint in _checkpoints(weights):
        there, here = (_step(run, checkpoint, protocol) for run in (edges, weights))
        directions = StepDirections.of(edges, there, protocol, weights.weights_at(here))
        at = _Step(weights, edges, checkpoint, here, directions, protocol)
        rows += [row | {"arm": "hybrid"} for row in at.rows()]
    return rows


def _checkpoints(run: TrainedRun) -> tuple[Checkpoint, ...]:
    early = run.task.name == "add" and run.step_of("transition") is not None
    return ("stop", "transition") if early else ("stop",)


def _step(run: TrainedRun, checkpoint: Checkpoint, protocol: Protocol) -> int:
    """The step of a checkpoint; a stop before the first full window is read where that window ends."""
    if checkpoint == "stop":
        return stop_of(run, protocol.window * protocol.stride)
    return _step_of(run, checkpoint)


def _step_of(run: TrainedRun, checkpoint: Checkpoint) -> int:
    step = run.step_of(checkpoint)
    if step is None:
        raise ValueError(f"{run.path}: the run has no {checkpoint}, so nothing can be measured there")
    return step


def stop_of(run: TrainedRun, least: int) -> int:
    """The step at which a run is read as stopped: its stop, but not before ``least``, where the first full window ends.

    Raises:
        ValueError: it has no stop.
    """
    return max(_step_of(run, "stop"), least)


def provenance(
    run: TrainedRun,
    edges: TrainedRun,
    checkpoint: Checkpoint,
    step: int,
    edge: SpectralEdge,
    window: int,
    protocol: Protocol,
) -> dict[str, Any]:
    """Where a row comes from: columns of every row."""
    training = edges.training
    return {
        "protocol": protocol.digest,
        "run_id": edges.config.run_id,
        "weights_run_id": run.config.run_id,
        "task": run.task.name,
        "seed": training.seed,
        "copy": copy_number(training.learning_rate),
        "weight_decay": training.weight_decay,
        "checkpoint": checkpoint,
        "step": step,
        "stride": protocol.stride,
        "window": window,
        "centered": protocol.centered,
        "method": "jvp",
        "position": edge.position,
    }


def row_of(
    origin: dict[str, Any],
    direction: str,
    measured: Measured,
    row: NullRow,
    *,
    peak: float | None = None,
    cosine: float | None = None,
) -> dict[str, Any]:
    """One row of a table: a number of a direction beside one null."""
    return origin | {
        "direction": direction,
        "cosine": cosine,
        "statistic": measured.statistic,
        "grouping": measured.grouping,
        "inputs": measured.inputs,
        "definition": measured.definition,
        "peak": None if peak is None else int(peak),
        "null": row.null,
        "measured": row.measured,
        "null_mean": float(row.values.mean()),
        "null_std": float(row.values.std()),
        "null_quantile95": float(np.quantile(row.values, 0.95)),
        "pvalue": row.pvalue("greater"),
        "draws": len(row.values),
    }


@dataclass(frozen=True, eq=False)
class _Step:
    """Directions, applied to the weights of a run at one step."""

    run: TrainedRun
    edges: TrainedRun
    checkpoint: Checkpoint
    step: int
    directions: StepDirections
    protocol: Protocol

    def rows(self) -> Iterator[dict[str, Any]]:
        model, parameters = self.run.model_at(self.step)
        statistics: dict[Measured, Any] = dict(
            statistics_of(self.run, self._held_out, script=self.checkpoint == "transition")
        )
        if self._hybrid and self.run.task.name == "x2_y2":
            statistics[PRINTED_R2] = cross_term_statistics(self.run, self._held_out)[PRINTED_R2]
        statistics[HEAD_PURITY] = purity_of(parameters)
        by_name = {str(measured): measured for measured in statistics}
        origin = provenance(
            self.run,
            self.edges,
            self.checkpoint,
            self.step,
            self.directions.edge,
            self.directions.window,
            self.protocol,
        )
        peaks: dict[tuple[str, tuple[str | None, ...]], float] = {}
        for tested, nulls, draws in self._passes():
            found = compare(
                model,
                self.directions.chosen(tested),
                self._held_out,
                {str(measured): statistic for measured, statistic in statistics.items()},
                parameters=parameters,
                nulls=nulls,
                draws=draws,
                seed=self.run.training.seed,  # fresh draws for each run
                threads=self.run.threads,
                quiet=True,
            ).whole()
            rows = [(tested[(row.direction or 1) - 1], by_name[row.statistic], row) for row in found.rows]
            peaks |= {(name, measured.spectrum): row.measured for name, measured, row in rows if measured.is_peak}
            for name, measured, row in rows:
                if not measured.is_peak:
                    peak = peaks.get((name, measured.spectrum))
                    yield row_of(origin, name, measured, row, peak=peak, cosine=self.directions.cosines[name])

    def _passes(self) -> list[tuple[tuple[str, ...], tuple[Any, ...], int]]:
        """Names of directions, the nulls that they are held against, and draws of each null."""
        directions, draws = self.directions, self.protocol.draws
        names = tuple(name for name in directions.names if self.checkpoint == "stop" or name in _AT_TRANSITION)
        read = tuple(name for name in names if name not in _BULK)
        if self._hybrid:  # only the published numbers are asked for
            return [(read, ("isotropic",), draws)]
        return [
            (names, ("isotropic", Span(directions.edge)), draws),
            (tuple(name for name in read if abs(directions.cosines[name]) < PARALLEL), ("weights",), draws),
            (directions.of_edge, ("blocks",), draws),
            (read, ("inputs",), self.protocol.permutations),
        ]

    @property
    def _hybrid(self) -> bool:
        return self.edges is not self.run

    @property
    def _held_out(self) -> np.ndarray:
        return self.run.held_out_pairs
