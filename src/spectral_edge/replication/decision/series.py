"""Spectra of a run's updates, and of both parts of them, over training: for C1, C2 and the share of weight decay."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.recording import UpdatePart
from spectral_edge.replication.claims.c01_gap import GAP_WINDOW
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.spectrum import (
    attention_matrices,
    displacement_gram,
    displacement_pca,
    gradient_share,
    spectral_edge,
    weight_singular_values,
)
from spectral_edge.subjects.profiles import copy_number
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["measure_series"]

Floats = NDArray[np.float64]


def measure_series(run: TrainedRun, arm: str, protocol: Protocol) -> list[dict[str, Any]]:
    """One row a step that ends a window, from the first window of ten updates on.

    * ``g23`` = σ₂² - σ₃² and ``sigma_ratio`` = σ₁/σ₂ of ten uncentred updates, ``update_norm`` = Σσ²/10; the same of
      the gradient and the decay part, ``g23_gradient`` …;
    * ``position``, ``cosine_theta`` (v₁ to the weights at the step) and ``gradient_share`` of v₁ … v₃ of the
      protocol's window;
    * ``displacement_ratio`` = σ₁/σ₂ of the displacements up to the step, ``ratio_W_Q`` and ``ratio_W_K``, geometric
      means over layers; ``weight_norm``; accuracies.

    Raises:
        ValueError: the run is shorter than ten updates.
        StoreError: a file of the run is damaged.

    Cost: a read of the snapshots, and three Gram matrices; 5 s for 34 snapshots.
    """
    steps = [step for step in run.run.snapshot_steps() if step % protocol.stride == 0]
    if len(steps) <= GAP_WINDOW:
        raise ValueError(f"{run.path}: {len(steps) - 1} updates of stride {protocol.stride}; {GAP_WINDOW} are needed")
    snapshots = [run.weights_at(step) for step in steps]
    parts: tuple[UpdatePart, ...] = get_args(UpdatePart)
    rows = {part: run.updates(steps[-1], len(steps) - 1, protocol.stride, part) for part in parts}
    grams = {part: (updates.double() @ updates.double().T).numpy() for part, updates in rows.items()}
    displaced = displacement_pca(displacement_gram(snapshots)).singular_values
    layout = run.model_at(steps[0])[1]
    evaluations = {line["step"]: line for line in run.metrics}
    training, found = run.training, []
    for end in range(GAP_WINDOW, len(steps)):
        step = steps[end]
        row: dict[str, Any] = {
            "protocol": protocol.digest,
            "arm": arm,
            "run_id": run.config.run_id,
            "task": training.operation,
            "seed": training.seed,
            "copy": copy_number(training.learning_rate),
            "weight_decay": training.weight_decay,
            "grok_step": run.grok_step,
            "stop_step": run.stop_step,
            "step": step,
            "train_accuracy": evaluations[step]["train_accuracy"],
            "test_accuracy": evaluations[step]["test_accuracy"],
            "weight_norm": float(snapshots[end].double().norm()),
        }
        for part, gram in grams.items():
            suffix = "" if part == "update" else f"_{part}"
            window = slice(end - GAP_WINDOW, end)
            row |= {f"{name}{suffix}": value for name, value in _spectrum(gram[window, window]).items()}
        row |= _edge(rows, snapshots[end], end, protocol)
        row |= _weights(attention_matrices(layout.unflatten(snapshots[end])))
        row["displacement_ratio"] = float(displaced[end - 1, 0] / displaced[end - 1, 1])
        found.append(row)
    return found


def _spectrum(gram: Floats) -> dict[str, float]:
    eigenvalues = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)
    ratio = float(np.sqrt(eigenvalues[0] / eigenvalues[1])) if eigenvalues[1] > 0 else float("nan")
    return {
        "g23": float(eigenvalues[1] - eigenvalues[2]),
        "sigma_ratio": ratio,
        "update_norm": float(eigenvalues.mean()),
    }


def _edge(rows: dict[UpdatePart, Tensor], theta: Tensor, end: int, protocol: Protocol) -> dict[str, Any]:
    """The edge of the protocol's window, empty before the first."""
    names = ("position", "cosine_theta", "gradient_share_v1", "gradient_share_v2", "gradient_share_v3")
    if end < protocol.window:
        return dict.fromkeys(names)
    window = {part: updates[end - protocol.window : end] for part, updates in rows.items()}
    edge = spectral_edge(window["update"], center=protocol.centered)
    directions = edge.directions(3)
    shares = gradient_share(directions, window["gradient"], window["decay"])
    cosine = float(directions[0].double() @ theta.double() / theta.double().norm())
    return dict(zip(names, [edge.position, cosine, *shares.tolist()], strict=True))


def _weights(matrices: dict[str, Tensor]) -> dict[str, float]:
    sigma = weight_singular_values(matrices, 2)
    logs = {name: float(np.log(s[0] / s[1])) for name, s in zip(matrices, sigma, strict=True)}
    return {
        f"ratio_{kind}": float(np.exp(np.mean([value for name, value in logs.items() if name.endswith(kind)])))
        for kind in ("W_Q", "W_K")
    }
