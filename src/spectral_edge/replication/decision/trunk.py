"""Several operations on one trunk: what x² + y² takes over (C11), and how tasks share directions (C12)."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.bases import grouping
from spectral_edge.comparison import Comparison, Concentration, NullRow, compare
from spectral_edge.grokking import ModularTransformer
from spectral_edge.replication.decision.directions import StepDirections
from spectral_edge.replication.decision.measure import provenance, row_of, stop_of
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.replication.decision.statistics import Measured
from spectral_edge.replication.modes import Peak
from spectral_edge.replication.task_losses import loss_changes
from spectral_edge.representation import sharedness
from spectral_edge.store import Inputs
from spectral_edge.subjects.profiles import TRITASK
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["measure_trunk", "script_pairs"]

_EDGE, _BULK = 3, 8
_SPLIT = "mean(v1..v3)-mean(v4..v8)"
_SCRIPT_SEED = 42


def measure_trunk(run: TrainedRun, arm: str, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of one run of the arm at its stop.

    * ``concentration`` by sum of v_1 … v_3 on the script's pairs (inputs ``all``) and on held-out pairs, against
      isotropic directions;
    * on three tasks ``sharedness``, the mean of v_1 … v_3 minus that of v_4 … v_8, on held-out pairs, against the other
      ways to choose three of eight (``label_permutation``) and against eight isotropic directions.

    Raises:
        ValueError: the run has no stop.
        StoreError: a file of the run is damaged.

    Cost: about 140 responses, 30 s on one thread.
    """
    step = stop_of(run, protocol.window * protocol.stride)
    directions = StepDirections.of(run, step, protocol)
    origin = provenance(run, run, "stop", step, directions.edge, directions.window, protocol)
    origin |= {"arm": arm, "task": run.training.operation}
    p, held_out = run.task.p, run.held_out_pairs
    rows = []
    domains: tuple[tuple[Inputs, NDArray[np.int64]], ...] = (("all", script_pairs(p)), ("test", held_out))
    for inputs, pairs in domains:
        q = grouping("sum", p)
        labels = q(pairs), q.order
        statistics = {"concentration": Concentration(*labels), "peak": Peak(*labels)}
        found = _compared(run, step, directions, pairs, statistics, protocol, shared=inputs == "test")
        peaks = {row.direction: int(row.measured) for row in found.rows if row.statistic == "peak"}
        for row in found.rows:
            if row.statistic == "concentration" and (row.direction or 0) <= _EDGE:
                measured = Measured("concentration", "sum", inputs)
                rows.append(row_of(origin, f"v{row.direction}", measured, row, peak=peaks[row.direction]))
    if run.training.operation == TRITASK:
        shared = Measured("sharedness", None, "test")
        rows += [row_of(origin, _SPLIT, shared, row) for row in _sharedness(found, protocol)]
    return rows


def script_pairs(p: int) -> NDArray[np.int64]:
    """The script's "held-out" pairs: the second half of all p² pairs, a-major, shuffled with seed 42.

    Zeros and pairs that the model was trained on are among them.
    """
    pairs = [(a, b) for a in range(p) for b in range(p)]
    random.Random(_SCRIPT_SEED).shuffle(pairs)
    return np.array(pairs[len(pairs) // 2 :])


def _compared(
    run: TrainedRun,
    step: int,
    directions: StepDirections,
    pairs: NDArray[np.int64],
    statistics: dict[str, Any],
    protocol: Protocol,
    shared: bool,
) -> Comparison:
    model, parameters = run.model_at(step)
    keep = {"usage": _usage(run, model)} if shared else {}
    return compare(
        model,
        directions.chosen(tuple(f"v{i + 1}" for i in range(_BULK))),
        pairs,
        statistics,
        parameters=parameters,
        nulls="isotropic",
        draws=protocol.draws,
        seed=run.training.seed,
        keep=keep,
        quiet=True,
    ).whole()


def _usage(run: TrainedRun, model: ModularTransformer) -> Callable[[Tensor], NDArray[np.float64]]:
    """The function of a response to held-out pairs (N, d) that gives U = E[a²] of each task, (T,)."""
    changes = loss_changes(model, run.tasks, run.split.test)
    return lambda response: np.array([float(a.square().mean()) for a in changes(response)])


def _sharedness(found: Comparison, protocol: Protocol) -> list[NullRow]:
    """Sharedness above minus below the edge, against other choices of the edge and against random directions."""
    own = sharedness(found.kept["usage"]["tested"].T)
    drawn = sharedness(found.kept["usage"]["isotropic"].T)

    def split(values: NDArray[np.float64], above: tuple[int, ...]) -> float:
        chosen = np.isin(np.arange(len(values)), above)
        return float(values[chosen].mean() - values[~chosen].mean())

    first, *others = combinations(range(_BULK), _EDGE)
    measured = split(own, first)
    rng = np.random.default_rng(0)
    eights = [drawn[rng.choice(len(drawn), _BULK, replace=False)] for _ in range(protocol.permutations)]
    return [
        NullRow(None, "sharedness", "label_permutation", measured, np.array([split(own, above) for above in others])),
        NullRow(None, "sharedness", "isotropic", measured, np.array([split(eight, first) for eight in eights])),
    ]
