"""Known groupings as candidates: how much of the interactions each accounts for, and would under other names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases import grouping, operation, operation_names
from spectral_edge.discovery.interactions import Interactions, principal

__all__ = ["Candidate", "rank_candidates"]

# Renamings are many and components beyond these carry little.
_COMPONENTS = 8
_LINES = (
    "discrete_log",
    "discrete_log_difference",
    "gaussian_radial",
    "gaussian_angular",
)


@dataclass(frozen=True)
class Candidate:
    """A known grouping q(a, b) beside the same grouping with the tokens renamed at random.

    Attributes:
        grouping: its name.
        share: share of the interactions that is a function of q.
        null_mean, null_quantile95: of that share under random renamings.
        pvalue: of the share.
        pvalue_adjusted: of the largest share of all candidates, each in standard deviations of its null (Westfall and
            Young): the chance that any candidate stands out as far.
    """

    grouping: str
    share: float
    null_mean: float
    null_quantile95: float
    pvalue: float
    pvalue_adjusted: float


def rank_candidates(
    interactions: Interactions,
    residues: ArrayLike | None,
    law: NDArray[np.int64] | None,
    null_draws: int,
    rng: np.random.Generator,
) -> tuple[list[Candidate], float]:
    """Score every known grouping that exists for the modulus, largest excess over renamings first.

    Args:
        interactions: the functions; their strongest components are used.
        residues: what number each token is.
        law: (n, n) classes of the law that was found, to be scored on the same components.
        null_draws: random renamings.
        rng: draws them.

    Returns:
        The candidates, and the share of the law's classes (0 if there are none).
    """
    n = interactions.n_tokens
    numbers = np.arange(n) if residues is None else np.asarray(residues, dtype=np.int64)
    if numbers.shape != (n,) or len(np.unique(numbers)) < n or numbers.min() < 0:
        raise ValueError(f"discover_basis: residues must be {n} distinct numbers of at least 0, one a token")
    p = int(numbers.max()) + 1
    labels = _labels(numbers, p)
    pooled = principal(interactions.values.reshape(-1, n, n), _COMPONENTS)
    strongest = Interactions(pooled[None], interactions.known, interactions.share)
    renamings = [rng.permutation(n) for _ in range(null_draws)]
    shares = np.array([strongest.share_of(groups) for groups in labels.values()])
    null = np.array([[strongest.share_of(groups[np.ix_(r, r)]) for r in renamings] for groups in labels.values()])
    mean, std = null.mean(axis=1), np.maximum(null.std(axis=1), np.finfo(float).tiny)
    excess = (shares - mean) / std
    largest = ((null - mean[:, None]) / std[:, None]).max(axis=0, initial=-np.inf)
    quantiles = np.quantile(null, 0.95, axis=1)
    found = [
        Candidate(
            name,
            float(shares[i]),
            float(mean[i]),
            float(quantiles[i]),
            float((null[i] >= shares[i]).sum() + 1) / (null_draws + 1),
            float((largest >= excess[i]).sum() + 1) / (null_draws + 1),
        )
        for i, name in enumerate(labels)
    ]
    of_law = 0.0 if law is None else strongest.share_of(law)
    return sorted(found, key=lambda c: (c.pvalue_adjusted, c.null_mean - c.share)), of_law


def _labels(numbers: NDArray[np.int64], p: int) -> dict[str, NDArray[np.int64]]:
    """(n, n) groups of every pair under each known grouping; of two that group pairs alike, the first."""
    n = len(numbers)
    pairs = np.stack(np.meshgrid(numbers, numbers, indexing="ij"), axis=-1).reshape(-1, 2)
    outputs = [f"output:{name}" for name in operation_names() if operation(name).on_residues]
    # These two exist for every number of tokens, also for an even one, which the groupings of residues refuse.
    found = {
        "sum": (numbers[:, None] + numbers[None, :]) % p,
        "difference": (numbers[:, None] - numbers[None, :]) % p,
    }
    for name in (*_LINES, *outputs):
        try:
            groups = grouping(name, p)(pairs)
        except ValueError:  # there is no such grouping for this modulus
            continue
        first = _first_seen(groups)
        if not any(np.array_equal(first, _first_seen(other.ravel())) for other in found.values()):
            found[name] = groups.reshape(n, n)
    return found


def _first_seen(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Name groups by the first pair in them, so that equal partitions get equal names."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(np.where(groups < 0, -1, first[inverse.reshape(groups.shape)]))
