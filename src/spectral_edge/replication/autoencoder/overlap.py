"""Which features of a sparse autoencoder three directions move, and how far they overlap: statistics of a set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison.features import computed_once
from spectral_edge.comparison.statistic import Statistic, of_set
from spectral_edge.representation import SparseAutoencoder, feature_effects

__all__ = ["PAIRS", "FeatureOverlap", "Mixed", "correlation", "gram", "most_affected", "overlaps", "random_sets"]

PAIRS = ((0, 1), (0, 2), (1, 2))
"""The pairs of a triple, in the order of all arrays here."""

Mixed = Literal["random_directions", "angle_matched", "fixed_angle"]
"""A triple as it is; mixed to the angles of the edge's responses; mixed to 45 degrees in the weights, as published."""

_AFFECTED = 20
_FIXED_ANGLE = 45.0


def most_affected(effects: np.ndarray) -> np.ndarray:
    """Mask of the 20 features with the largest effects, (..., d_sae); of equal ones the first (paper, C5)."""
    order = np.argsort(-effects, axis=-1, kind="stable")[..., :_AFFECTED]
    mask = np.zeros(effects.shape, dtype=bool)
    np.put_along_axis(mask, order, True, axis=-1)
    return mask


def overlaps(masks: np.ndarray) -> np.ndarray:
    """Jaccard indices |A and B| / |A or B| of the pairs of a triple of nonempty sets, (..., 3, d_sae) -> (..., 3)."""
    first, second = (masks[..., [pair[side] for pair in PAIRS], :] for side in (0, 1))
    return (first & second).sum(-1) / (first | second).sum(-1)


def random_sets(n_features: int, n: int, seed: int) -> np.ndarray:
    """Overlaps of n triples of sets of 20 drawn at random from the features, (n, 3): the combinatorial null.

    The intersection is hypergeometric with mean 400 / n_features; of 512 features the mean Jaccard index is .02.
    """
    return overlaps(most_affected(np.random.default_rng(seed).random((n, 3, n_features))))


def correlation(products: np.ndarray) -> np.ndarray:
    """Cosines between vectors, from their inner products."""
    norms = np.sqrt(np.diag(products))
    return products / np.outer(norms, norms)


def gram(vectors: Tensor) -> np.ndarray:
    """Inner products of n vectors, or of n arrays taken as vectors, (n, n) float64."""
    flat = vectors.flatten(1).double()
    return (flat @ flat.T).numpy()


@dataclass(frozen=True, eq=False)
class FeatureOverlap:
    """Steps ±εv of the weights along three directions, seen through a sparse autoencoder.

    The change of the activations is ε times the response, within 1 % of the published finite difference. A direction's
    effect on a feature is the mean over inputs and over both signs of its change: the sign of a direction is arbitrary,
    and a TopK encoder is not odd.

    With G the Gram matrix of three vectors and C the wanted cosines, the rows of L_C L_G⁻¹ (Cholesky factors) mix them
    into vectors with Gram matrix C. G is that of the responses for the edge's angles; in the weights it is the unit
    matrix, as edge directions and the sets that ``compare`` draws for them are at right angles.

    Args:
        autoencoder: whose features.
        activations: (N, d) that the weights as they are give.
        epsilon: length of the step in the weights.
        edge_angles: (3, 3) cosines between the responses of the edge.
    """

    autoencoder: SparseAutoencoder
    activations: Tensor
    epsilon: float
    edge_angles: NDArray[np.float64]

    def effects(self, responses: Tensor) -> NDArray[np.float64]:
        """Effects of (n, N, d) responses on the features, (n, d_sae)."""
        changes = self.epsilon * responses
        both = (feature_effects(self.autoencoder, self.activations, sign * changes) for sign in (1, -1))
        return (sum(both, torch.zeros(())) / 2).numpy()

    def statistics(self) -> dict[str, Statistic]:
        """For ``compare``: the overlap of each pair of a triple by kind of mixture, and the angle of its responses."""
        kinds: tuple[Mixed, ...] = ("random_directions", "angle_matched", "fixed_angle")
        found = {self.name(kind, i): partial(self._overlap, kind, i) for kind in kinds for i in range(3)}
        found |= {self.name("angle", i): partial(self._angle, pair) for i, pair in enumerate(PAIRS)}
        # Mixtures and angles know the signs of directions beside each other.
        return {name: of_set(function, name, size=3, relative_signs=True) for name, function in found.items()}

    def _overlap(self, kind: Mixed, pair: int, responses: Tensor) -> float:
        return float(self._overlaps(responses, kind)[pair])

    def _angle(self, pair: tuple[int, int], responses: Tensor) -> float:
        return float(self.angles(responses)[pair])

    def mean_overlap(self, responses: Tensor) -> float:
        """The mean over the pairs of a triple of responses (3, N, d), as it is."""
        return float(self._overlaps(responses, "random_directions").mean())

    @staticmethod
    def name(kind: Mixed | Literal["angle"], pair: int) -> str:
        """What the statistic of a pair is called."""
        return f"{kind} of pair {pair + 1}"

    @staticmethod
    def angles(responses: Tensor) -> NDArray[np.float64]:
        """Degrees between responses (3, N, d), (3, 3)."""
        cosines = correlation(computed_once(responses, "gram", lambda: gram(responses)))
        return np.degrees(np.arccos(np.clip(cosines, -1, 1)))

    def _overlaps(self, responses: Tensor, kind: Mixed) -> NDArray[np.float64]:
        """(3,) overlaps of a triple (3, N, d), mixed."""

        def compute() -> tuple[NDArray[np.float64], FeatureOverlap]:
            mixed = (self._mixing(responses, kind) @ responses.flatten(1)).unflatten(1, responses.shape[1:])
            return overlaps(most_affected(self.effects(mixed))), self

        return computed_once(responses, ("overlaps", kind, id(self)), compute)[0]

    def _mixing(self, responses: Tensor, kind: Mixed) -> Tensor:
        if kind == "random_directions":
            return torch.eye(3)
        if kind == "fixed_angle":
            wanted = np.full((3, 3), np.cos(np.radians(_FIXED_ANGLE)))
            np.fill_diagonal(wanted, 1.0)
            return torch.from_numpy(np.linalg.cholesky(wanted)).float()
        products = computed_once(responses, "gram", lambda: gram(responses))
        rows = np.linalg.solve(np.linalg.cholesky(products).T, np.linalg.cholesky(self.edge_angles).T).T
        return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).float()
