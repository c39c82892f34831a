"""At the stop of a run: remove its edge, or step along it, beside steps of the same length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.experiments.causes.own_frequencies import OwnFrequencies
from spectral_edge.experiments.causes.protocol import CausesProtocol
from spectral_edge.grokking import ModularTransformer
from spectral_edge.intervention import Intervention, intervene
from spectral_edge.parameters import ParameterSubset
from spectral_edge.statistics import random_directions
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Rows", "logits_of", "measure_ablation", "measure_steering", "pairs_of", "stop_of"]

Rows = list[dict[str, Any]]

# Removing a random direction removes 1/√D of the weights: a control of another size, which is what was published.
_UNMATCHED = "random directions, unmatched"


def stop_of(run: TrainedRun, protocol: CausesProtocol) -> int:
    """The step at which a run is read as stopped: its stop, or where the first full window ends.

    Raises:
        ValueError: it has no stop.
    """
    step = run.step_of("stop")
    if step is None:
        raise ValueError(f"{run.path}: the run has no stop, so nothing can be removed there")
    return max(step, protocol.window * protocol.stride)


def pairs_of(run: TrainedRun, side: Literal["train", "test"]) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs of a side of the run's split: a (N,), b (N,) and the labels (N,)."""
    chosen = getattr(run.task.split(run.training.frac_train, run.training.seed), side)
    pairs = torch.from_numpy(run.task.pairs[chosen])
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), torch.from_numpy(run.task.labels[chosen])


def measure_ablation(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """Loss and accuracy on held-out pairs after the edge is removed, beside every control.

    The edge is v_1 … v_k* of the centred window, at every strength; at full strength also v_1 … v_3, and both of the
    uncentred window. Beside it stands what was published: as many random directions removed, a far smaller step.

    Returns:
        One row a (edge, strength, quantity, null).

    Cost: about 410 evaluations on half of the pairs.
    """
    step = stop_of(run, protocol)
    model, parameters = run.model_at(step)
    evaluate = _losses(pairs_of(run, "test"))
    rows: Rows = []
    for centered in (True, False):
        edge = run.edge(step, protocol.window, protocol.stride, centered)
        own = edge.position
        for k in sorted({own, 3}):
            strengths = protocol.strengths if centered and k == own else (1.0,)
            found = intervene(
                model, edge, evaluate, parameters=parameters, k=k, strengths=strengths, draws=protocol.draws,
                seed=run.training.seed,
            )  # fmt: skip
            origin = {"step": step, "centered": centered, "k": k, "is_edge": k == own, "share": found.share}
            rows += [origin | row for row in _rows(found)]
            if centered:
                rows += [origin | row for row in _unmatched(model, parameters, evaluate, found, k, run, protocol)]
    return rows


def _unmatched(
    model: nn.Module,
    parameters: ParameterSubset,
    evaluate: Callable[[nn.Module], dict[str, float]],
    removed: Intervention,
    k: int,
    run: TrainedRun,
    protocol: CausesProtocol,
) -> Iterator[dict[str, Any]]:
    """Remove k random directions, as they come."""
    drawn = random_directions(protocol.draws * k, parameters.dim, seed=run.training.seed).split(k)
    removals = [intervene(model, rows, evaluate, parameters=parameters, controls=()) for rows in drawn]
    found = [removal.outcomes[0].values for removal in removals]
    for quantity in removed.baseline:
        values = np.array([values[quantity] for values in found])
        measured = next(o for o in removed.outcomes if o.arm == "edge" and o.strength == 1.0).values[quantity]
        yield _row(1.0, quantity, _UNMATCHED, removed.baseline[quantity], measured, values)


def _losses(pairs: tuple[Tensor, Tensor, Tensor]) -> Callable[[nn.Module], dict[str, float]]:
    a, b, labels = pairs

    def evaluate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            logits = logits_of(model, a, b)
        loss = nn.functional.cross_entropy(logits.double(), labels).item()
        right = (logits.argmax(-1) == labels).double().mean().item()
        return {"loss": loss, "log_loss": math.log(loss), "accuracy": right}

    return evaluate


def logits_of(model: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    """Logits (N, p) of a model of one operation."""
    assert isinstance(model, ModularTransformer)
    found = model(a, b)
    assert isinstance(found, Tensor)  # one operation has one head
    return found


def measure_steering(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """How logits move when the weights take a step along ±v_1: how far, and how much of it at the model's frequencies.

    Returns:
        One row a (side, quantity, null): ``own_share``, see :class:`OwnFrequencies`, and ``log_size``, the logarithm of
        the root mean square of the change.
    """
    step = stop_of(run, protocol)
    model, parameters = run.model_at(step)
    a, b, _ = pairs_of(run, "test")
    with torch.no_grad():
        before = logits_of(model, a, b)
    own = OwnFrequencies.of(run.task, before, np.stack([a.numpy(), b.numpy()], 1), protocol.own_frequencies)

    def evaluate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            change = logits_of(model, a, b) - before
        return {"own_share": own.share(change), "log_size": own.log_size(change)}

    edge = run.edge(step, protocol.window, protocol.stride, True)
    length = protocol.steering * float(parameters.flatten().norm())
    found = intervene(
        model, edge, evaluate, parameters=parameters, k=1, along=length, strengths=(-1.0, 1.0), draws=protocol.draws,
        seed=run.training.seed,
    )  # fmt: skip
    return [
        {"step": step, "centered": True, "k": 1, "is_edge": True, "share": found.share} | row for row in _rows(found)
    ]


def _rows(found: Intervention) -> Iterator[dict[str, Any]]:
    """One row a (strength, quantity, control)."""
    values: dict[tuple[float, str, str], list[float]] = {}
    for outcome in found.outcomes:
        for quantity, value in outcome.values.items():
            values.setdefault((outcome.strength, quantity, outcome.arm), []).append(value)
    if not found.complete:  # a table is not stored of some of the draws
        raise KeyboardInterrupt
    for (strength, quantity, arm), drawn in values.items():
        if arm != "edge":
            measured = values[strength, quantity, "edge"][0]
            yield _row(strength, quantity, arm, found.baseline[quantity], measured, np.array(drawn))


def _row(
    strength: float, quantity: str, null: str, baseline: float, measured: float, drawn: np.ndarray
) -> dict[str, Any]:
    return {
        "strength": strength, "quantity": quantity, "null": null, "baseline": baseline, "measured": measured,
        "null_mean": float(drawn.mean()), "null_std": float(drawn.std()), "draws": len(drawn),
    }  # fmt: skip
