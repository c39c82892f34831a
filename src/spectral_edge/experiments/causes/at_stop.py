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
from spectral_edge.experiments.causes.rows import Rows, of_draws
from spectral_edge.grokking import ModularTransformer
from spectral_edge.intervention import Intervention, intervene
from spectral_edge.parameters import ParameterSubset
from spectral_edge.replication.decision.measure import stop_of
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.statistics import random_directions
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = [
    "UNMATCHED",
    "across_weights",
    "logits_of",
    "measure_ablation",
    "measure_steering",
    "pairs_of",
]

UNMATCHED = "random directions, unmatched"
"""Removing a random direction removes 1/√D of the weights: a control of another size, which is what was published."""

_ACROSS = ("isotropic", "weights", "blocks")


def pairs_of(run: TrainedRun, side: Literal["train", "test"]) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs of a side of the run's split: a (N,), b (N,) and the labels (N,)."""
    chosen = getattr(run.split, side)
    pairs = torch.from_numpy(run.task.pairs[chosen])
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), torch.from_numpy(run.task.labels[chosen])


def measure_ablation(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """Loss and accuracy on held-out pairs after the edge is removed, beside every control.

    The edge is v_1 … v_k* of the centred window, at every strength; at full strength also v_1 … v_3, and both of the
    uncentred window. Beside it stands what was published: as many random directions removed, a far smaller step. And
    v_1 without its part along θ: a step of the same length along it, to both sides.

    Returns:
        One row a (moved, centered, k, strength, quantity, null), with every draw.

    Cost: about 700 evaluations on half of the pairs.
    """
    step = stop_of(run, protocol.window * protocol.stride)
    model, parameters = run.model_at(step)
    evaluate = _losses(pairs_of(run, "test"))
    rows: Rows = []
    for centered in (True, False):
        edge = run.edge(step, protocol.window, protocol.stride, centered)
        for k in sorted({edge.position, 3}):
            strengths = protocol.strengths if centered and k == edge.position else (1.0,)
            found = intervene(
                model, edge, evaluate, parameters=parameters, k=k, strengths=strengths, draws=protocol.draws,
                seed=run.training.seed,
            )  # fmt: skip
            origin = _origin(edge, step, k) | {"moved": "removed", "share": found.share}
            rows += [origin | row for row in _rows(found)]
            if centered:
                rows += [origin | row for row in _unmatched(model, parameters, evaluate, found, k, run, protocol)]
            if centered and k == edge.position:
                across = across_weights(edge, parameters.flatten())
                found = intervene(
                    model, across, evaluate, parameters=parameters, along=found.norm, strengths=(-1.0, 1.0),
                    controls=_ACROSS, draws=protocol.draws, seed=run.training.seed,
                )  # fmt: skip
                rows += [origin | {"moved": "v1 without θ"} | row for row in _rows(found)]
    return rows


def _origin(edge: SpectralEdge, step: int, k: int) -> dict[str, Any]:
    return {
        "step": step, "centered": edge.centered, "k": k, "is_edge": k == edge.position,
        "sigma_ratio": float(edge.gap_ratios[0]),
    }  # fmt: skip


def across_weights(edge: SpectralEdge, theta: Tensor) -> Tensor:
    """v_1 without its part along θ, as a unit vector."""
    unit = theta / theta.norm()
    v1 = edge.directions(1)[0]
    across = v1 - (v1 @ unit) * unit
    return across / across.norm()


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
        yield _row(1.0, quantity, UNMATCHED, removed.baseline[quantity], measured, values)


def _losses(pairs: tuple[Tensor, Tensor, Tensor]) -> Callable[[nn.Module], dict[str, float]]:
    a, b, labels = pairs

    def evaluate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            logits = logits_of(model, a, b)
        loss = nn.functional.cross_entropy(logits.double(), labels).item()
        return {"log_loss": math.log(loss), "accuracy": (logits.argmax(-1) == labels).double().mean().item()}

    return evaluate


def logits_of(model: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    """Logits (N, p) of a model of one operation."""
    assert isinstance(model, ModularTransformer)
    found = model(a, b)
    assert isinstance(found, Tensor)  # one operation has one head
    return found


def measure_steering(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """How logits move when the weights take a step along ±v_1, of two lengths.

    Quantities: ``log_share``, the logarithm of the part of the change's variance that is at the model's own frequencies
    (:class:`OwnFrequencies`); ``log_size``, of its root mean square; ``log_amplitude``, log_size + log_share / 2;
    ``log_loss``. The baseline of log_share and log_amplitude is that of the model's own logits.

    Returns:
        One row a (strength, quantity, null), with every draw.
    """
    step = stop_of(run, protocol.window * protocol.stride)
    model, parameters = run.model_at(step)
    a, b, labels = pairs_of(run, "test")
    with torch.no_grad():
        before = logits_of(model, a, b)
    own = OwnFrequencies.of(run.task, before, np.stack([a.numpy(), b.numpy()], 1), protocol.own_power)

    def evaluate(model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            logits = logits_of(model, a, b)
        change = before if torch.equal(logits, before) else logits - before  # of the weights as they are: the baseline
        log_share, log_size = math.log(own.share(change)), own.log_size(change)
        loss = nn.functional.cross_entropy(logits.double(), labels).item()
        return {
            "log_share": log_share, "log_size": log_size, "log_amplitude": log_size + log_share / 2,
            "log_loss": math.log(loss),
        }  # fmt: skip

    edge = run.edge(step, protocol.window, protocol.stride, True)
    length = protocol.steering * float(parameters.flatten().norm())
    small = protocol.small_step
    found = intervene(
        model, edge, evaluate, parameters=parameters, k=1, along=length, strengths=(-1.0, -small, small, 1.0),
        draws=protocol.draws, seed=run.training.seed,
    )  # fmt: skip
    origin = _origin(edge, step, 1) | {"share": found.share, "frequencies": list(own.frequencies)}
    return [origin | row for row in _rows(found)]


def _rows(found: Intervention) -> Iterator[dict[str, Any]]:
    """One row a (strength, quantity, control)."""
    if not found.complete:  # a table is not stored of some of the draws
        raise KeyboardInterrupt
    values: dict[tuple[float, str, str], list[float]] = {}
    for outcome in found.outcomes:
        for quantity, value in outcome.values.items():
            values.setdefault((outcome.strength, quantity, outcome.arm), []).append(value)
    for (strength, quantity, arm), drawn in values.items():
        if arm != "edge":
            measured = values[strength, quantity, "edge"][0]
            yield _row(strength, quantity, arm, found.baseline[quantity], measured, np.array(drawn))


def _row(
    strength: float, quantity: str, null: str, baseline: float, measured: float, drawn: np.ndarray
) -> dict[str, Any]:
    return {
        "strength": strength, "quantity": quantity, "null": null, "baseline": baseline, "measured": measured,
    } | of_draws(drawn)  # fmt: skip
