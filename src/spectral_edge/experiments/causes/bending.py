"""Along training: how the loss bends along the edge, and whether the edge is one of coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.bases import grouping
from spectral_edge.comparison import Concentration, Span, Statistic, compare, evaluate, of_direction
from spectral_edge.experiments.causes.at_stop import across_weights, logits_of, pairs_of
from spectral_edge.experiments.causes.protocol import CausesProtocol
from spectral_edge.experiments.causes.rows import Rows, cosine, of_draws
from spectral_edge.intervention import curvature
from spectral_edge.modes import Inputs
from spectral_edge.parameters import ParameterSubset
from spectral_edge.replication.decision.measure import PARALLEL, stop_of
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import Checkpoint
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["CHECKPOINTS", "measure_bending", "measure_metric", "windows_of"]

CHECKPOINTS: tuple[Checkpoint, ...] = ("memorisation", "transition", "stop")
_BULK = 5
_LEAST = 1e-30  # of a curvature, whose logarithm is taken; G is positive, but for rounding
_PERMUTED = 5  # metrics with their entries permuted inside tensors


def windows_of(run: TrainedRun, protocol: CausesProtocol) -> dict[Checkpoint, tuple[int, int]]:
    """Step and window of each checkpoint that has room for three updates."""
    found = {}
    for checkpoint in CHECKPOINTS:
        step = stop_of(run, protocol.window * protocol.stride) if checkpoint == "stop" else run.step_of(checkpoint)
        if step is not None and (window := min(protocol.window, step // protocol.stride)) >= 3:
            found[checkpoint] = (step, window)
    return found


def measure_bending(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """Curvature and slope of the training loss and size of the response along the edge, beside matched directions.

    Directions: v1, v2, v3, v5 of the centred window, v1 without its part along θ, and θ. Quantities:
    ``log_gauss_newton``, the logarithm of vᵀGv; ``hessian``, vᵀHv; ``slope``, |∇L·v|; ``log_response``, the logarithm
    of the root mean square of Δh. All on the same training pairs.

    Returns:
        One row a (checkpoint, direction, quantity, null), with every draw.

    Cost: about 70 directions a checkpoint, each of which takes the time of three gradients of the pairs.
    """
    return [row for name, place in windows_of(run, protocol).items() for row in _bent_at(run, name, *place, protocol)]


def _bent_at(run: TrainedRun, checkpoint: str, step: int, window: int, protocol: CausesProtocol) -> Rows:
    model, parameters = run.model_at(step)
    edge = run.edge(step, window, protocol.stride, True)
    theta = parameters.flatten()
    names, directions = _directions(edge, theta)
    batch = _training_pairs(run, protocol)
    loss, gradient = _slope(model, parameters, batch)
    statistics = _statistics(model, parameters, batch, gradient)
    angles = (directions.double() @ (theta / theta.norm()).double()).abs().tolist()
    free = [i for i, angle in enumerate(angles) if angle < PARALLEL]
    own = [names.index("v1"), names.index("v1-theta")]
    passes: tuple[tuple[list[int], tuple[Any, ...]], ...] = (
        (list(range(len(names))), ("isotropic", Span(edge))),
        ([i for i in own if i in free], ("weights",)),
        (own, ("blocks",)),
    )
    rows: Rows = []
    for chosen, nulls in passes:
        found = compare(
            model, directions[chosen], batch["pairs"].numpy(), statistics, parameters=parameters, nulls=nulls,
            draws=protocol.bending_draws, seed=run.training.seed, quiet=True,
        ).whole()  # fmt: skip
        for row in found.rows:
            place = chosen[(row.direction or 1) - 1]
            rows.append(
                {
                    "checkpoint": checkpoint, "step": step, "window": window, "loss": loss, "direction": names[place],
                    "cosine_theta": angles[place], "quantity": row.statistic, "null": row.null,
                    "measured": row.measured,
                } | of_draws(row.values)
            )  # fmt: skip
    return rows


def _directions(edge: SpectralEdge, theta: Tensor) -> tuple[list[str], Tensor]:
    most = min(_BULK, edge.identifiable)
    leading = edge.directions(most)
    wanted = [i for i in (1, 2, 3, _BULK) if i <= most]
    rows = [*(leading[i - 1] for i in wanted), across_weights(edge, theta), theta / theta.norm()]
    return [*(f"v{i}" for i in wanted), "v1-theta", "theta"], torch.stack(rows)


def _statistics(
    model: nn.Module, parameters: ParameterSubset, batch: dict[str, Tensor], gradient: Tensor
) -> dict[str, Any]:
    def bend(kind: Literal["gauss_newton", "hessian"]) -> Statistic:
        size = len(batch["y"])
        return curvature(model, batch, _mean_loss, parameters=parameters, forward=_of_batch, kind=kind, batch_size=size)

    gauss_newton = bend("gauss_newton")
    return {
        "log_gauss_newton": of_direction(lambda v: math.log(max(gauss_newton(v), _LEAST))),
        "hessian": of_direction(bend("hessian")),
        "slope": of_direction(lambda v: abs(float(gradient @ v.double()))),
        "log_response": lambda h: 0.5 * math.log(float(h.double().square().mean())),
    }


def _slope(model: nn.Module, parameters: ParameterSubset, batch: dict[str, Tensor]) -> tuple[float, Tensor]:
    """The loss and its gradient (D,)."""
    loss = _mean_loss(_of_batch(model, batch), batch)
    found = torch.autograd.grad(loss, list(parameters.parameters.values()))
    return loss.item(), parameters.flatten(dict(zip(parameters.parameters, found, strict=True))).double()


def _training_pairs(run: TrainedRun, protocol: CausesProtocol) -> dict[str, Tensor]:
    """The first training pairs of the split, which is a shuffle already."""
    a, b, labels = (values[: protocol.inputs] for values in pairs_of(run, "train"))
    return {"a": a, "b": b, "y": labels, "pairs": torch.stack([a, b], 1)}


def _of_batch(model: nn.Module, batch: Inputs) -> Tensor:
    assert not isinstance(batch, Tensor)
    return logits_of(model, batch["a"], batch["b"])


def _mean_loss(logits: Tensor, batch: Inputs) -> Tensor:
    assert not isinstance(batch, Tensor)
    return nn.functional.cross_entropy(logits, batch["y"])


def measure_metric(
    run: TrainedRun, metrics: Mapping[int, Tensor], arm_edges: Mapping[int, Tensor], protocol: CausesProtocol
) -> Rows:
    """The edge under the optimizer's metric beside the ordinary one.

    Args:
        run: the run.
        metrics: step -> √v̂ + ε there.
        arm_edges: step -> v1 (D,) of the window that training arms use.
        protocol: windows.

    Returns:
        One row a checkpoint: k*, σ1/σ2, |cos| of v1 to θ and F of v1 in both metrics; |cos| between both v1, the same
        in the metric's own inner product (``cosine_in_metric``), between both u1 (``cosine_left``), and to v1 under
        metrics with permuted entries (``cosine_permuted``, a mean); |cos| of v1 to that of the arms' window.
    """
    return [
        {"checkpoint": checkpoint, "step": step, "window": window}
        | _both_metrics(run, step, window, metrics[step], arm_edges[step], protocol)
        for checkpoint, (step, window) in windows_of(run, protocol).items()
    ]


def _both_metrics(
    run: TrainedRun, step: int, window: int, metric: Tensor, arm_edge: Tensor, protocol: CausesProtocol
) -> dict[str, Any]:
    model, parameters = run.model_at(step)
    plain = run.edge(step, window, protocol.stride, True)
    edges = {"plain": plain, "metric": plain.in_metric(metric)}
    v1 = torch.cat([edge.directions(1) for edge in edges.values()]).double()
    theta = parameters.flatten().double()
    weighted = v1 * metric.double().sqrt()
    permuted = [plain.in_metric(_permuted(metric, parameters, draw)).directions(1)[0] for draw in range(_PERMUTED)]
    values = _concentration(run, model, v1.float(), parameters)
    row: dict[str, Any] = {
        "cosine": cosine(*v1),
        "cosine_in_metric": cosine(*weighted),
        "cosine_left": abs(float(plain.left[:, 0] @ edges["metric"].left[:, 0])),
        "cosine_permuted": float(np.mean([cosine(v1[0], other) for other in permuted])),
        "cosine_arm_edge": cosine(v1[0], arm_edge),
    }
    for i, (name, edge) in enumerate(edges.items()):
        row |= {
            f"position_{name}": edge.position,
            f"sigma_ratio_{name}": float(edge.gap_ratios[0]),
            f"cosine_theta_{name}": cosine(v1[i], theta),
            f"concentration_{name}": float(values[i]),
        }
    return row


def _permuted(metric: Tensor, parameters: ParameterSubset, draw: int) -> Tensor:
    generator = torch.Generator().manual_seed(draw)
    pieces = {
        name: piece.flatten()[torch.randperm(piece.numel(), generator=generator)].view_as(piece)
        for name, piece in parameters.unflatten(metric).items()
    }
    return parameters.flatten(pieces)


def _concentration(run: TrainedRun, model: nn.Module, rows: Tensor, parameters: ParameterSubset) -> np.ndarray:
    """F of held-out pairs without a = b, in the task's own basis."""
    q = grouping(BASIS[run.task.name], run.task.p)
    pairs = run.held_out_pairs
    labels = np.where(pairs[:, 0] == pairs[:, 1], -1, q(pairs))
    (values,) = evaluate(model, rows, pairs, Concentration(labels, q.order), parameters=parameters).values()
    return values
