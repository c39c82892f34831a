"""Repeated measurements in groups: do members of one group agree more than members of different ones?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from spectral_edge.statistics.samples import as_sample, check_level

__all__ = ["intraclass_correlation", "intraclass_interval", "within_and_between"]

Groups = Sequence[Hashable]


def intraclass_correlation(values: ArrayLike, groups: Groups) -> float:
    """Return the share of the variance that lies between groups: (B - W)/(B + (m - 1) W).

    B and W are the mean squares between and within groups, m the size of a group, or of unequal ones
    m = (n - Σ n_g²/n)/(G - 1). 1 where members of a group are equal, about 0 where groups say nothing; by chance as
    low as -1/(m - 1). Source: Shrout and Fleiss, Psychological Bulletin 86 (1979), their ICC(1, 1); unequal groups
    after the moment estimator of the one-way random model (Searle, Linear Models, 1971).

    Args:
        values: (n,) finite numbers.
        groups: n names, of at least 2 groups, at least one of which has 2 members.

    Returns:
        The correlation; NaN if all values are equal.

    Raises:
        ValueError: lengths differ, a value is not finite, or there are too few groups or members.

    >>> intraclass_correlation([1.0, 1.0, 5.0, 5.0], ["a", "a", "b", "b"])
    1.0
    """
    between, within, size, _ = _mean_squares(values, groups)
    return _correlation(between, within, size)


def intraclass_interval(values: ArrayLike, groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of :func:`intraclass_correlation` that F = B/W gives.

    F over its quantiles with G - 1 and n - G degrees of freedom bounds the ratio of the mean squares, and
    (F - 1)/(F + m - 1) is the correlation. Exact for normal values and groups of one size. Few groups bound it badly:
    three of five members with a correlation of 0.5 leave [0.03, 0.98]. Source: as above.

    Args:
        values: (n,) finite numbers.
        groups: n names, as above.
        level: Probability of covering, in (0, 1).

    Returns:
        (low, high); (1, 1) where members of each group are equal; NaN if all values are.

    Raises:
        ValueError: As above, or ``level`` is out of range.

    >>> intraclass_interval([1.0, 1.0, 5.0, 5.0], ["a", "a", "b", "b"])
    (1.0, 1.0)
    """
    check_level(level)
    between, within, size, degrees = _mean_squares(values, groups)
    quantiles = stats.f.ppf([(1 + level) / 2, (1 - level) / 2], *degrees)
    low, high = (_correlation(between / float(q), within, size) for q in quantiles)
    return low, high


def within_and_between(similarity: ArrayLike, groups: Groups) -> tuple[float, float]:
    """Return the mean similarity of pairs of one group, and of pairs of two.

    Args:
        similarity: (n, n), symmetric and finite, such as 1 where two members have the same peak and 0 elsewhere; the
            diagonal is not looked at.
        groups: n names, of at least 2 groups, at least one of which has 2 members.

    Raises:
        ValueError: lengths differ, there are too few groups or members, or a similarity is not finite.

    >>> peaks = np.array([26, 26, 8, 8])
    >>> within_and_between(peaks[:, None] == peaks, ["a", "a", "b", "b"])
    (1.0, 0.0)
    """
    table = np.asarray(similarity, dtype=np.float64)
    codes, _ = _codes(groups, len(table))
    if table.shape != (len(codes), len(codes)):
        raise ValueError(f"similarity must be (n, n), one row a member; got shape {table.shape}")
    first, second = np.triu_indices(len(table), 1)
    together = codes[first] == codes[second]
    pairs = table[first, second]
    if not np.isfinite(pairs).all():
        bad = int(np.flatnonzero(~np.isfinite(pairs))[0])
        raise ValueError(f"similarity of members {first[bad]} and {second[bad]} is {pairs[bad]}; leave one of them out")
    return float(pairs[together].mean()), float(pairs[~together].mean())


def _correlation(between: float, within: float, size: float) -> float:
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else float("nan")


def _mean_squares(values: ArrayLike, groups: Groups) -> tuple[float, float, float, tuple[int, int]]:
    """Mean squares between and within groups, the size of a group, and degrees of freedom."""
    sample = as_sample(values, "values")
    codes, sizes = _codes(groups, len(sample))
    n, count = len(sample), len(sizes)
    sample = sample - sample[0]  # equal values must have squares of 0, and not of rounding
    means = np.bincount(codes, weights=sample) / sizes
    between = float(sizes @ (means - sample.mean()) ** 2) / (count - 1)
    within = float(((sample - means[codes]) ** 2).sum()) / (n - count)
    size = (n - float((sizes**2).sum()) / n) / (count - 1)
    return between, within, size, (count - 1, n - count)


def _codes(groups: Groups, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) the number of each member's group, and (G,) how many members each has."""
    names = list(groups)
    if len(names) != n:
        raise ValueError(f"there are {n} values and {len(names)} names of groups; pass one of each a member")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    codes = np.array([numbers[name] for name in names], dtype=np.int64)
    sizes = np.bincount(codes, minlength=len(numbers))
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError(f"groups of {sizes.tolist()} members: need at least 2 groups, and 2 members in one of them")
    return codes, sizes
