"""Everything the claims need of a set of directions at one checkpoint, in one pass over their responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.modes import Method, iterate_responses, mode_energy
from spectral_edge.parameters import ParameterSubset
from spectral_edge.representation import RidgeProbe, head_purity, response_shape

__all__ = ["Measured", "measure", "mixture_names"]

_COMPONENTS = 3


@dataclass(frozen=True)
class Measured:
    """Functions and scalars of k directions; N inputs in the order of the task's pairs.

    Attributes:
        energy: (k, N) f_k.
        components: (k, 3 or fewer, N) scores on the first principal components of the response.
        effective_rank: (k,) of the response.
        head_purity: (k,) of the direction itself.
        mixtures: (g, 4, N): f of v_1+v_2, v_1+v_3, v_2+v_3, v_1+v_2+v_3, each over sqrt(number), for each of g
            groups of three directions. Responses add, so they cost no further pass.
        triples: (g, 3) the directions of each group.
        cross_term_r2: (k,) ridge R^2 of the response on sum, discrete-log and cross-term features; NaN where the
            task does not ask for it.
    """

    energy: np.ndarray
    components: np.ndarray
    effective_rank: np.ndarray
    head_purity: np.ndarray
    mixtures: np.ndarray
    triples: np.ndarray
    cross_term_r2: np.ndarray


def mixture_names() -> list[str]:
    """Names of the four mixtures, in the order of :attr:`Measured.mixtures`."""
    return ["v1+v2", "v1+v3", "v2+v3", "v1+v2+v3"]


def measure(
    model: ModularTransformer,
    directions: Tensor,
    task: ModularTask,
    parameters: ParameterSubset,
    probe: tuple[RidgeProbe, np.ndarray] | None = None,
    *,
    n_components: int = _COMPONENTS,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
) -> Measured:
    """Measure k directions on every pair of the task, with the exact derivative or a finite difference.

    Mixtures are formed of disjoint triples of neighbours, (1, 2, 3), (4, 5, 6), …; random directions are exchangeable,
    so such triples are independent draws of the null. At least 3 directions.

    Args:
        model: at the checkpoint.
        directions: (k, D) unit rows.
        task: gives the inputs.
        parameters: layout of the directions.
        probe: a ridge probe and the (N,) mask of inputs it was built for.
        n_components: principal components whose scores are kept, 0 or more.
        method, relative_epsilon: of the response, as in :func:`spectral_edge.modes.functional_modes`.

    Cost: k derivatives over all pairs; memory k N floats and one group of responses.
    """
    parts = []
    triples: list[np.ndarray] = []
    start = 0
    inputs = torch.from_numpy(task.pairs)
    for response in iterate_responses(
        model, directions, inputs, parameters=parameters, method=method, relative_epsilon=relative_epsilon
    ):
        k = len(response)
        energy = mode_energy(response)
        rank, scores = response_shape(response, n_components)
        parts.append(
            (
                energy.numpy(),
                scores.numpy(),
                rank.numpy(),
                _mixtures(response, energy).numpy(),
                np.full(k, np.nan) if probe is None else probe[0].r2(response.numpy()[:, probe[1]]).in_sample[0],
            )
        )
        triples.append(start + np.arange(k // 3 * 3).reshape(-1, 3))
        start += k
    energies, components, rank, mixtures, r2 = (np.concatenate(part) for part in zip(*parts, strict=True))
    purity = np.atleast_1d(head_purity(directions, parameters))
    return Measured(energies, components, rank, purity, mixtures, np.concatenate(triples), r2)


def _mixtures(response: Tensor, energy: Tensor) -> Tensor:
    """Energies of the mixtures of (1, 2, 3), (4, 5, 6), …, from ||sum r||^2 = sum f + 2 sum <r, r'>; (k // 3, 4, N)."""
    groups = len(response) // 3
    first, second, third = (response[i : 3 * groups : 3] for i in range(3))
    f1, f2, f3 = (energy[i : 3 * groups : 3] for i in range(3))
    g12, g13, g23 = (
        (left * right).sum(-1).double() for left, right in ((first, second), (first, third), (second, third))
    )
    pairs = [(f1 + f2) / 2 + g12, (f1 + f3) / 2 + g13, (f2 + f3) / 2 + g23]
    return torch.stack([*pairs, (f1 + f2 + f3 + 2 * (g12 + g13 + g23)) / 3], dim=1)
