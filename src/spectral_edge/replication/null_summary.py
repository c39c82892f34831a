"""A measured number beside draws of its null, as it is stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np

from spectral_edge.statistics import NullDistribution
from spectral_edge.store import NullKind, NullSummary

__all__ = ["subset_draws", "summarise"]

_SUBSETS = 999


def summarise(
    samples: np.ndarray,
    measured: float,
    kind: NullKind = "random_directions",
    alternative: Literal["greater", "less"] = "greater",
) -> NullSummary:
    """Summarise the (n,) null draws of a number and say how extreme it is among them.

    Raises:
        ValueError: a draw or the number is not finite.
    """
    null = NullDistribution(samples, kind)
    return NullSummary(
        kind=kind,
        n=null.n,
        mean=null.mean,
        std=null.std,
        quantile95=null.quantile95,
        alternative=alternative,
        pvalue=null.pvalue(measured, alternative),
    )


def subset_draws(
    aggregate: Callable[[np.ndarray], float], of_edge: np.ndarray, of_random: np.ndarray, seed: int
) -> np.ndarray:
    """Null draws of an aggregate of m edge values: the same of 999 random m-subsets of edge and random values together.

    A two-sample permutation test, exact if edge directions are no different from random ones; groups of null
    directions that overlap would count the same draw several times.
    """
    pool = np.concatenate([of_edge, of_random])
    return np.array([aggregate(draw) for draw in pool[_subsets(len(pool), len(of_edge), seed)]])


@cache
def _subsets(n: int, m: int, seed: int) -> np.ndarray:
    """Random m-subsets of 0 … n-1, (999, m); kept, because every line of a table asks for the same."""
    rng = np.random.default_rng((seed, m))
    return np.array([rng.choice(n, m, replace=False) for _ in range(_SUBSETS)])
