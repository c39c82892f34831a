"""How far the answers hang on the choices that make an edge: window, stride, centring, checkpoint, and the ε of Δh."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison import compare, evaluate
from spectral_edge.replication.decision.answers import excesses, rows_of
from spectral_edge.replication.decision.measure import PARALLEL, provenance, row_of, stop_of
from spectral_edge.replication.decision.protocol import Protocol, Question
from spectral_edge.replication.decision.rules import decide
from spectral_edge.replication.decision.statistics import HEAD_PURITY, Measured, purity_of, statistics_of
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import Checkpoint, DerivativeError, SensitivityEffect
from spectral_edge.subjects.trained_run import TrainedRun

if TYPE_CHECKING:
    import polars

__all__ = ["derivative_errors", "measure_sensitivity", "sensitivity_effects"]

_WINDOWS, _STRIDES = (5, 10, 20), (1, 10, 100)
_EPSILONS = (0.0005, 0.005, 0.05)
_NULLS = ("isotropic", "weights")
_DERIVATIVE = "derivative"
_CHECKPOINTS: tuple[Checkpoint, ...] = ("transition", "stop")
_EDGE = 3
_ASKED = ("C3", "C4", "C6", "C7", "C8", "C9")

WindowSetting = tuple[int, int, bool]  # stride, window, centred


def measure_sensitivity(run: TrainedRun, arm: str, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the primary numbers of the edge of each setting, at the transition and at the stop.

    A setting is a stride (1, 10, 100), a window (5, 10, 20) and a centring; strides below that of the snapshots need a
    run that kept its updates. Nulls are ``isotropic`` and ``weights``: the others hang on the window, or would cost 60
    responses a setting. Of the protocol's own setting there are rows of the difference quotient at a relative step
    ε, too, whose null is ``derivative``: null_mean is what the derivative has.

    Raises:
        ValueError: the run has no stop.
        StoreError: a file of the run is damaged.

    Cost: about 150 responses to held-out pairs a checkpoint.
    """
    steps = {
        name: stop_of(run, protocol.window * protocol.stride) if name == "stop" else run.step_of(name)
        for name in _CHECKPOINTS
    }
    return [
        row | {"arm": arm}
        for checkpoint, step in steps.items()
        if step is not None
        for row in _at(run, checkpoint, step, protocol)
    ]


@dataclass(frozen=True, eq=False)
class _Tested:
    """A direction of the edge of one setting, and where its rows come from."""

    setting: WindowSetting
    name: str
    row: Tensor
    cosine: float
    origin: dict[str, Any]


def _at(run: TrainedRun, checkpoint: Checkpoint, step: int, protocol: Protocol) -> Iterator[dict[str, Any]]:
    tested = _tested(run, checkpoint, step, protocol)
    if not tested:
        return
    model, parameters = run.model_at(step)
    pairs = run.held_out_pairs
    statistics = _primary(run, protocol, statistics_of(run, pairs, script=run.task.name == "add"))
    statistics[HEAD_PURITY] = purity_of(parameters)
    by_name = {str(measured): measured for measured in statistics}
    named = {name: statistics[measured] for name, measured in by_name.items()}
    for null in _NULLS:
        chosen = [one for one in tested if null != "weights" or abs(one.cosine) < PARALLEL]
        found = compare(
            model, _rows(chosen), pairs, named, parameters=parameters, nulls=null, draws=protocol.draws,
            seed=run.training.seed, threads=run.threads, quiet=True,
        ).whole()  # fmt: skip
        for row in found.rows:
            one = chosen[(row.direction or 1) - 1]
            yield row_of(one.origin, one.name, by_name[row.statistic], row, cosine=one.cosine) | {
                "relative_epsilon": None
            }
    own: WindowSetting = (protocol.stride, protocol.window, protocol.centered)
    at_own = [one for one in tested if one.setting == own]
    if at_own:  # x² + y² is at its transition before 20 updates of stride 100 have been made
        del named[str(HEAD_PURITY)]  # of a direction, whichever way the response is taken
        measure = partial(evaluate, model, _rows(at_own), pairs, named, parameters=parameters)
        yield from _quotients(at_own, by_name, measure)


def _tested(run: TrainedRun, checkpoint: Checkpoint, step: int, protocol: Protocol) -> list[_Tested]:
    """v_1 … v_k*, at most three, of every setting whose updates the run holds."""
    own: WindowSetting = (protocol.stride, protocol.window, protocol.centered)
    settings = sorted({own, *itertools.product(_STRIDES, _WINDOWS, (True, False))})
    edges = {setting: edge for setting in settings if (edge := _edge(run, step, setting)) is not None}
    found = [
        (setting, i, row)
        for setting, edge in edges.items()
        for i, row in enumerate(edge.directions(min(edge.position, _EDGE)))
    ]
    if not found:
        return []
    theta = run.weights_at(step)
    cosines = (torch.stack([row for *_, row in found]).double() @ (theta / theta.norm()).double()).tolist()
    origins = {setting: _origin(run, edge, checkpoint, step, setting, protocol) for setting, edge in edges.items()}
    return [
        _Tested(setting, f"v{i + 1}", row, cosine, origins[setting])
        for (setting, i, row), cosine in zip(found, cosines, strict=True)
    ]


def _rows(tested: Sequence[_Tested]) -> Tensor:
    return torch.stack([one.row for one in tested])


def _quotients(
    tested: Sequence[_Tested], by_name: Mapping[str, Measured], measure: Callable[..., dict[str, NDArray[np.float64]]]
) -> Iterator[dict[str, Any]]:
    """Rows of the difference quotient at every relative step ε, beside the derivative.

    Args:
        tested: directions of the protocol's own setting.
        by_name: what is measured.
        measure: gives the numbers of these directions, by the derivative or by the method that it is told.
    """
    exact = measure()
    columns = dict.fromkeys(("peak", "null_std", "null_quantile95", "pvalue", "draws"))
    for epsilon in _EPSILONS:
        for name, values in measure(method="finite_difference", relative_epsilon=epsilon).items():
            measured = by_name[name]
            for one, value, derivative in zip(tested, values, exact[name], strict=True):
                yield {
                    **one.origin, **columns, "direction": one.name, "cosine": one.cosine,
                    "statistic": measured.statistic, "grouping": measured.grouping, "inputs": measured.inputs,
                    "definition": measured.definition, "method": "finite_difference", "relative_epsilon": epsilon,
                    "null": _DERIVATIVE, "measured": float(value), "null_mean": float(derivative),
                }  # fmt: skip


def _edge(run: TrainedRun, step: int, setting: WindowSetting) -> SpectralEdge | None:
    """The edge of a setting; ``None`` where the run does not hold its updates."""
    stride, window, centered = setting
    try:
        return run.edge(step, window, stride, centered)
    except ValueError:
        return None


def _primary(run: TrainedRun, protocol: Protocol, statistics: Mapping[Measured, Any]) -> dict[Measured, Any]:
    wanted = {(q.statistic, q.grouping, q.inputs) for q in _questions(protocol) if q.task == run.task.name}
    return {m: s for m, s in statistics.items() if (m.statistic, m.grouping, m.inputs) in wanted}


def _questions(protocol: Protocol) -> list[Question]:
    return [question for question in protocol.questions if question.claim in _ASKED]


def _origin(
    run: TrainedRun, edge: SpectralEdge, checkpoint: Checkpoint, step: int, setting: WindowSetting, protocol: Protocol
) -> dict[str, Any]:
    stride, window, centered = setting
    origin = provenance(run, run, checkpoint, step, edge, window, protocol)
    return origin | {"stride": stride, "centered": centered}


def sensitivity_effects(table: polars.DataFrame, protocol: Protocol) -> list[SensitivityEffect]:
    """The answer to *specific* in each setting, against the stronger of both nulls; one entry a setting and question.

    The rule is the protocol's, and so are margins; seeds are those of the runs that have the setting.

    Args:
        table: rows of :func:`measure_sensitivity`.
        protocol: rules.
    """
    keys = ["checkpoint", "stride", "window", "centered"]
    own = table.filter(method="jvp")
    groups = {tuple(key): part for key, part in own.group_by(*keys, maintain_order=True)}
    found = []
    for question in _questions(protocol):
        for (checkpoint, stride, window, centered), part in sorted(groups.items(), key=_order):
            asked = question.model_copy(update={"checkpoint": checkpoint})
            if rows_of(asked, part).is_empty():
                continue
            over = {null: excesses(asked, part, null) for null in _NULLS}
            seeds = sorted(set.intersection(*(set(values) for values in over.values())))
            decision = decide(
                np.array([[values[seed] for seed in seeds] for values in over.values()]), question.margin, protocol
            )
            found.append(
                SensitivityEffect(
                    claim=question.claim, task=question.task, checkpoint=checkpoint, stride=stride, window=window,
                    centered=centered, null=_NULLS[decision.strongest], effect=decision.effect, low=decision.low,
                    high=decision.high, n=len(seeds), answer=decision.answer, margin=question.margin,
                    unit=question.unit,
                )
            )  # fmt: skip
    return found


def _order(item: tuple[Sequence[Any], Any]) -> tuple[Any, ...]:
    (checkpoint, stride, window, centered), _ = item
    return (_CHECKPOINTS[::-1].index(checkpoint), not centered, stride, window)


def derivative_errors(table: polars.DataFrame) -> list[DerivativeError]:
    """How far the primary numbers under the difference quotient lie from those under the derivative, by ε."""
    import polars

    own = table.filter(method="finite_difference").with_columns(
        error=(polars.col("measured") - polars.col("null_mean")).abs()
    )
    keys = ["task", "statistic", "checkpoint", "relative_epsilon"]
    by_key = own.group_by(*keys, maintain_order=True).agg(
        polars.col("error").median().alias("median"),
        polars.col("error").max().alias("largest"),
        polars.col("run_id").n_unique().alias("n"),
    )
    return [DerivativeError(**row) for row in by_key.sort(*keys).iter_rows(named=True)]
