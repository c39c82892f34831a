"""What a direction moves in a shared trunk, and in the answers of each task that is read from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectral_edge.grokking import ModularTransformer
from spectral_edge.modes import iterate_responses, mode_energy
from spectral_edge.parameters import ParameterSubset
from spectral_edge.representation import RidgeProbe

__all__ = ["TrunkResponses", "head_responses", "trunk_responses"]


@dataclass(frozen=True)
class TrunkResponses:
    """Functions of k directions on N pairs, by what is read: ``"trunk"``, ``"head_add"``, ….

    Attributes:
        energy: (k, N) each, f(a, b) = ||dh||^2 of the trunk, ||dlogits||^2 of a head.
        r2: (2, s, k) each, ridge R^2 of the response on the s feature sets of the probe: in sample, cross-validated.
    """

    energy: dict[str, np.ndarray]
    r2: dict[str, np.ndarray]


def trunk_responses(
    model: ModularTransformer,
    directions: Tensor,
    pairs: np.ndarray,
    parameters: ParameterSubset,
    probe: RidgeProbe,
    probed: tuple[str, ...],
) -> TrunkResponses:
    """Differentiate trunk and heads along k directions, all pairs, in one pass over the responses.

    The response of the trunk belongs to no task. The response of a task's logits does: see :func:`head_responses`.

    Args:
        model: at the checkpoint.
        directions: (k, D) unit rows.
        pairs: (N, 2).
        parameters: layout of the directions.
        probe: of these pairs, with folds.
        probed: the readings to probe.

    Cost: k Jacobian-vector products, and for each of them N d p a head and a probe of every probed reading; memory
    k N floats a reading and one group of responses.
    """
    inputs = torch.from_numpy(pairs)
    residual = model.residual(inputs)
    readings = ("trunk", *(f"head_{task}" for task in model.tasks))
    energy: dict[str, list[np.ndarray]] = {name: [] for name in readings}
    r2: dict[str, list[np.ndarray]] = {name: [] for name in probed}
    for response in iterate_responses(model, directions, inputs, parameters=parameters):
        for name, moved in {"trunk": response, **head_responses(model, residual, response)}.items():
            energy[name].append(mode_energy(moved).numpy())
            if name in r2:
                fit = probe.r2(moved.numpy())
                r2[name].append(np.stack([fit.in_sample, _required(fit.cross_validated)]))
    return TrunkResponses(
        {name: np.concatenate(parts) for name, parts in energy.items()},
        {name: np.concatenate(parts, axis=2) for name, parts in r2.items()},
    )


def _required(cross_validated: np.ndarray | None) -> np.ndarray:
    if cross_validated is None:
        raise ValueError("trunk_responses: the probe has no folds; make it with folds=mirror_folds(pairs, 5, seed)")
    return cross_validated


@torch.no_grad()
def head_responses(model: ModularTransformer, residual: Tensor, response: Tensor) -> dict[str, Tensor]:
    """Derivative of each task's logits, given that of the residual stream: dl = W diag(g) (dx - x <x, dx>/d)/s.

    x is the normalised residual stream and s its standard deviation (LayerNorm, gain g); the mean of dl over the
    classes is taken out, because the softmax does not see it.

    Args:
        model: gives the final norm and the heads.
        residual: (N, d) before the final norm.
        response: (k, N, d), its derivative along k directions.

    Returns:
        ``head_<task>`` -> (k, N, p).
    """
    norm = model.ln
    centered = residual - residual.mean(-1, keepdim=True)
    inverse_std = torch.rsqrt(centered.square().mean(-1, keepdim=True) + norm.eps)
    x = centered * inverse_std
    moved = (response - response.mean(-1, keepdim=True) - x * (x * response).mean(-1, keepdim=True)) * inverse_std
    found = {}
    for task in model.tasks:
        weight = model.head_of(task).weight * norm.weight
        found[f"head_{task}"] = moved @ (weight - weight.mean(0)).T
    return found
