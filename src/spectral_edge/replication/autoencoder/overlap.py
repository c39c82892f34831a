"""Which features of a sparse autoencoder three directions move, how far they overlap, and how far by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from spectral_edge.grokking import ModularTransformer
from spectral_edge.modes import iterate_responses
from spectral_edge.parameters import ParameterSubset
from spectral_edge.representation import SparseAutoencoder, feature_effects

__all__ = ["PAIRS", "Perturbation", "TripleNulls", "correlation", "gram", "most_affected", "overlaps", "random_sets"]

PAIRS = ((0, 1), (0, 2), (1, 2))
"""The pairs of a triple, in the order of all arrays here."""

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
class TripleNulls:
    """Overlaps of random triples of directions; triples share no direction, so draws are independent.

    Attributes:
        random: (n, 3) of unit directions as they are drawn, at right angles up to D^{-1/2}.
        angle_matched: (n, 3) of mixtures whose responses make the angles that those of the edge make.
        fixed_angle: (n, 3) of mixtures at 45 degrees to each other in parameter space, as published.
        response_cosine: (n, 3) between the responses of the random directions.
        response_norm: (n, 3) of the random directions.
    """

    random: np.ndarray
    angle_matched: np.ndarray
    fixed_angle: np.ndarray
    response_cosine: np.ndarray
    response_norm: np.ndarray


class Perturbation:
    """Small steps epsilon v of the weights, seen through a sparse autoencoder.

    The response is the published finite difference h(theta + epsilon v) - h(theta). That of a mixture of directions is
    the mixture of their responses: at the published epsilon this is within 1 % of the response itself.

    Args:
        model: at the step analysed.
        parameters: the subset the directions live in.
        pairs: (N, 2) inputs.
        relative_epsilon: epsilon / ||theta||.
    """

    def __init__(
        self, model: ModularTransformer, parameters: ParameterSubset, pairs: np.ndarray, relative_epsilon: float
    ) -> None:
        self._model, self._parameters, self._pairs = model, parameters, torch.from_numpy(pairs)
        self._relative_epsilon = relative_epsilon
        self._epsilon = relative_epsilon * float(parameters.flatten().double().norm())
        with torch.no_grad():
            self.activations: Tensor = model(self._pairs[:, 0], self._pairs[:, 1], return_residual=True)[1]

    def changes(self, directions: Tensor) -> Iterator[Tensor]:
        """h(theta + epsilon v) - h(theta) of consecutive triples of directions, (3, N, d) each; a rest is left out."""
        groups = iterate_responses(
            self._model,
            directions,
            self._pairs,
            parameters=self._parameters,
            method="finite_difference",
            relative_epsilon=self._relative_epsilon,
        )
        rows = (self._epsilon * quotient for group in groups for quotient in group)
        while len(triple := list(islice(rows, 3))) == 3:
            yield torch.stack(triple)

    def effects(self, autoencoder: SparseAutoencoder, changes: Tensor) -> np.ndarray:
        """Effects on the features, (n, N, d) -> (n, d_sae)."""
        return feature_effects(autoencoder, self.activations, changes).numpy()

    def nulls(self, autoencoder: SparseAutoencoder, directions: Tensor, edge_changes: Tensor) -> TripleNulls:
        """Overlaps of triples of random directions, and of mixtures of them at given angles.

        With G the Gram matrix of three vectors and C the wanted cosines, the rows of L_C L_G^{-1} (Cholesky factors)
        mix them into vectors with Gram matrix C. G is that of the responses for the edge's angles, that of the
        directions for 45 degrees; mixtures are scaled to unit length in parameter space.

        Args:
            autoencoder: reads the features.
            directions: (n, D) random unit directions, n at least 3.
            edge_changes: (3, N, d) responses whose angles are matched.

        Cost: n forward passes and 7 n / 3 encodings.
        """
        wanted = correlation(gram(edge_changes))
        fixed = np.full((3, 3), np.cos(np.radians(_FIXED_ANGLE)))
        np.fill_diagonal(fixed, 1.0)
        draws: list[tuple[np.ndarray, ...]] = []
        triples = directions[: 3 * (len(directions) // 3)].split(3)
        for triple, changes in zip(triples, self.changes(directions), strict=True):
            of_weights, of_response = gram(triple), gram(changes)
            matched = _mixing(of_response, wanted, of_weights)
            at_fixed = _mixing(of_weights, fixed, of_weights)
            # Cholesky factors are triangular: the first mixture of each kind is the first direction itself.
            mixtures = torch.from_numpy(np.concatenate([matched[1:], at_fixed[1:]])).float()
            mixed = (mixtures @ changes.flatten(1)).unflatten(1, changes.shape[1:])
            masks = most_affected(self.effects(autoencoder, torch.cat([changes, mixed])))
            found = [overlaps(masks[list(members)]) for members in ((0, 1, 2), (0, 3, 4), (0, 5, 6))]
            cosines = np.array([correlation(of_response)[pair] for pair in PAIRS])
            draws.append((*found, cosines, np.sqrt(np.diag(of_response))))
        return TripleNulls(*(np.array(column) for column in zip(*draws, strict=True)))


def _mixing(products: np.ndarray, cosines: np.ndarray, of_weights: np.ndarray) -> np.ndarray:
    """Rows that mix vectors with these inner products into ones with the wanted cosines, of unit length in weights."""
    rows = np.linalg.solve(np.linalg.cholesky(products).T, np.linalg.cholesky(cosines).T).T
    return rows / np.sqrt(np.einsum("ij,jk,ik->i", rows, of_weights, rows))[:, None]
