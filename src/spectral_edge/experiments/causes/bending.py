"""Along training: how the loss bends along the edge, and whether the edge is one of coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.bases import grouping
from spectral_edge.comparison import Concentration, Span, Statistic, compare, evaluate, of_direction
from spectral_edge.experiments.causes.at_stop import Rows, logits_of, pairs_of, stop_of
from spectral_edge.experiments.causes.protocol import CausesProtocol
from spectral_edge.intervention import curvature
from spectral_edge.modes import Inputs
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import Checkpoint
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["CHECKPOINTS", "measure_bending", "measure_metric", "windows_of"]

CHECKPOINTS: tuple[Checkpoint, ...] = ("memorisation", "transition", "stop")
_BULK = 5
_PARALLEL = 0.98  # beyond this cosine to the weights nothing is left to draw at random


def windows_of(run: TrainedRun, protocol: CausesProtocol) -> dict[Checkpoint, tuple[int, int]]:
    """Step and window of each checkpoint that has room for three updates."""
    found = {}
    for checkpoint in CHECKPOINTS:
        step = stop_of(run, protocol) if checkpoint == "stop" else run.step_of(checkpoint)
        if step is not None and (window := min(protocol.window, step // protocol.stride)) >= 3:
            found[checkpoint] = (step, window)
    return found


def measure_bending(run: TrainedRun, protocol: CausesProtocol) -> Rows:
    """Curvature of the training loss and size of the response along the edge, beside matched directions.

    Directions: v1, v2, v3, v5 of the centred window, v1 without its part along θ, and θ. Quantities:
    ``log_gauss_newton``, the logarithm of vᵀGv; ``hessian``, vᵀHv; ``log_response``, the logarithm of the root mean
    square of Δh. All on the same training pairs.

    Returns:
        One row a (checkpoint, direction, quantity, null).

    Cost: about 70 directions a checkpoint, each of which takes the time of three gradients of the pairs.
    """
    rows: Rows = []
    for checkpoint, (step, window) in windows_of(run, protocol).items():
        model, parameters = run.model_at(step)
        edge = run.edge(step, window, protocol.stride, True)
        names, directions = _directions(edge, parameters.flatten())
        batch = _training_pairs(run, protocol)
        bends = {
            kind: curvature(
                model,
                batch,
                _mean_loss,
                parameters=parameters,
                forward=_of_batch,
                kind=kind,
                batch_size=len(batch["y"]),
            )
            for kind in ("gauss_newton", "hessian")
        }
        statistics = {
            "log_gauss_newton": of_direction(_log_of(bends["gauss_newton"])),
            "hessian": of_direction(bends["hessian"]),
            "log_response": lambda h: 0.5 * math.log(float(h.double().square().mean())),
        }
        angles = (directions.double() @ (parameters.flatten() / parameters.flatten().norm()).double()).abs().tolist()
        free = [i for i, angle in enumerate(angles) if angle < _PARALLEL]
        passes = (
            (list(range(len(names))), ("isotropic", Span(edge))),
            ([i for i in free if names[i] in ("v1", "v1-theta")], ("weights",)),
            ([names.index("v1")], ("blocks",)),
        )
        for chosen, nulls in passes:
            found = compare(
                model, directions[chosen], batch["pairs"].numpy(), statistics, parameters=parameters, nulls=nulls,
                draws=protocol.bending_draws, seed=run.training.seed, quiet=True,
            )  # fmt: skip
            if not found.complete:  # a table is not stored of some of the draws
                raise KeyboardInterrupt
            for row in found.rows:
                rows.append(
                    {
                        "checkpoint": checkpoint, "step": step, "window": window,
                        "direction": names[chosen[(row.direction or 1) - 1]], "quantity": row.statistic,
                        "null": row.null, "measured": row.measured, "null_mean": float(row.values.mean()),
                        "null_std": float(row.values.std()), "draws": len(row.values),
                    }
                )  # fmt: skip
    return rows


def _directions(edge: SpectralEdge, theta: Tensor) -> tuple[list[str], Tensor]:
    unit = theta / theta.norm()
    most = min(_BULK, edge.identifiable)
    leading = edge.directions(most)
    wanted = [i for i in (1, 2, 3, _BULK) if i <= most]
    across = leading[0] - (leading[0] @ unit) * unit
    rows = [*(leading[i - 1] for i in wanted), across / across.norm(), unit]
    return [*(f"v{i}" for i in wanted), "v1-theta", "theta"], torch.stack(rows)


def _training_pairs(run: TrainedRun, protocol: CausesProtocol) -> dict[str, Tensor]:
    """The first training pairs of the split, which is a shuffle already."""
    a, b, labels = (values[: protocol.inputs] for values in pairs_of(run, "train"))
    return {"a": a, "b": b, "y": labels, "pairs": torch.stack([a, b], 1)}


def _log_of(bend: Statistic) -> Callable[[Tensor], float]:
    return lambda direction: math.log(bend(direction))


def _of_batch(model: nn.Module, batch: Inputs) -> Tensor:
    assert not isinstance(batch, Tensor)
    return logits_of(model, batch["a"], batch["b"])


def _mean_loss(logits: Tensor, batch: Inputs) -> Tensor:
    assert not isinstance(batch, Tensor)
    return nn.functional.cross_entropy(logits, batch["y"])


def measure_metric(run: TrainedRun, metrics: Mapping[int, Tensor], protocol: CausesProtocol) -> Rows:
    """The edge under the optimizer's metric beside the ordinary one.

    Args:
        run: the run.
        metrics: step -> √v̂ + ε there.
        protocol: windows.

    Returns:
        One row a checkpoint: k*, σ1/σ2, |cos| of v1 to θ and F of v1 in both metrics, and |cos| between both v1.
    """
    rows: Rows = []
    for checkpoint, (step, window) in windows_of(run, protocol).items():
        model, parameters = run.model_at(step)
        plain = run.edge(step, window, protocol.stride, True)
        edges = {"plain": plain, "metric": plain.in_metric(metrics[step])}
        v1 = torch.cat([edge.directions(1) for edge in edges.values()])
        theta = parameters.flatten() / parameters.flatten().norm()
        q = grouping(BASIS[run.task.name], run.task.p)
        a, b, _ = pairs_of(run, "test")
        pairs = np.stack([a.numpy(), b.numpy()], 1)
        labels = np.where(pairs[:, 0] == pairs[:, 1], -1, q(pairs))
        concentration = evaluate(model, v1, pairs, Concentration(labels, q.order), parameters=parameters)
        (values,) = concentration.values()
        row: dict[str, Any] = {
            "checkpoint": checkpoint, "step": step, "window": window,
            "cosine": float((v1[0].double() @ v1[1].double()).abs()),
        }  # fmt: skip
        for i, (name, edge) in enumerate(edges.items()):
            row |= {
                f"position_{name}": edge.position,
                f"sigma_ratio_{name}": float(edge.gap_ratios[0]),
                f"cosine_theta_{name}": float((v1[i] @ theta).abs()),
                f"concentration_{name}": float(values[i]),
            }
        rows.append(row)
    return rows
