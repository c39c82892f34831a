"""What several statistics read of one response: its energy, its principal components, its effective rank."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.modes import mode_energy
from spectral_edge.representation import response_shape

__all__ = ["computed_once", "effective_rank_of", "energy_of", "scores_of"]

Found = TypeVar("Found")
Floats = NDArray[np.float64]

_COMPONENTS = 3
"""Computed together: one eigenproblem gives them all."""


def computed_once(values: Tensor, name: Hashable, compute: Callable[[], Found]) -> Found:
    """Return ``compute()``, or what it gave for this very tensor before; one changed in place is another tensor."""
    version = None if values.is_inference() else values._version
    cache: dict[Hashable, Any] = values.__dict__.setdefault("_spectral_edge", {})
    if (name, version) not in cache:
        cache[name, version] = compute()
    return cache[name, version]


def energy_of(response: Tensor) -> Floats:
    """f(x) = ||response(x)||², (N,)."""
    return computed_once(response, "energy", lambda: mode_energy(response[None])[0].cpu().numpy())


def scores_of(response: Tensor, component: int) -> Floats:
    """Scores (N,) of the inputs on a principal component, from 1, of the column-centred response (N, d).

    Raises:
        ValueError: the response has fewer columns.
    """
    columns = response.shape[1]
    if isinstance(component, bool) or not isinstance(component, int) or not 1 <= component <= columns:
        raise ValueError(f"component = {component!r} is outside 1 … {columns}, the columns of the response")
    return _shape(response, max(component, min(_COMPONENTS, columns)))[1][component - 1]


def effective_rank_of(response: Tensor) -> float:
    """exp(H(s²/Σs²)) of the response (N, d); see :func:`~spectral_edge.representation.effective_rank`."""
    return _shape(response, min(_COMPONENTS, response.shape[1]))[0]


def _shape(response: Tensor, components: int) -> tuple[float, Floats]:
    def compute() -> tuple[float, Floats]:
        rank, scores = response_shape(response[None], components)
        return float(rank[0]), scores[0].cpu().numpy()

    return computed_once(response, ("shape", components), compute)
