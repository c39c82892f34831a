"""Repeated measurements in groups: do members of one group agree more than members of different ones?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.statistics.nulls import NullDistribution
from spectral_edge.statistics.samples import as_sample

__all__ = ["intraclass_correlation", "matching_pairs", "regrouped"]

Floats = NDArray[np.float64]
Groups = Sequence[Hashable]


def intraclass_correlation(values: ArrayLike, groups: Groups) -> float:
    """Return the share of the variance that lies between groups: (B - W)/(B + (m - 1) W).

    B and W are the mean squares between and within groups, m the size of a group, or of unequal ones
    m = (n - Σ n_g²/n)/(G - 1). 1 where members of a group are equal, about 0 where groups say nothing; as low as
    -1/(m - 1) by chance. Source: Shrout and Fleiss, Psychological Bulletin 86 (1979), their ICC(1, 1).

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
    sample = as_sample(values, "values")
    codes, sizes = _codes(groups, len(sample))
    if np.ptp(sample) == 0:  # the squares below would be those of rounding
        return float("nan")
    n, count = len(sample), len(sizes)
    means = np.bincount(codes, weights=sample) / sizes
    between = float(sizes @ (means - sample.mean()) ** 2) / (count - 1)
    within = float(((sample - means[codes]) ** 2).sum()) / (n - count)
    size = (n - float((sizes**2).sum()) / n) / (count - 1)
    return (between - within) / (between + (size - 1) * within)


def matching_pairs(labels: ArrayLike, groups: Groups) -> tuple[float, float]:
    """Return the share of pairs whose labels are equal, among pairs of one group and among those of two.

    With d labels a member, each is compared with its like, and all d count.

    Args:
        labels: (n,) or (n, d) categories, such as peak frequencies.
        groups: n names, of at least 2 groups, at least one of which has 2 members.

    Returns:
        (within, between), each in [0, 1].

    Raises:
        ValueError: lengths differ, or there are too few groups or members.

    >>> matching_pairs([26, 26, 8, 8], ["a", "a", "b", "b"])
    (1.0, 0.0)
    """
    table = np.asarray(labels)
    codes, _ = _codes(groups, len(table))
    first, second = np.triu_indices(len(table), 1)
    same = (table[first] == table[second]).reshape(len(first), -1).mean(axis=1)
    together = codes[first] == codes[second]
    return float(same[together].mean()), float(same[~together].mean())


def regrouped(statistic: Callable[[Groups], float], groups: Groups, draws: int, seed: int) -> NullDistribution:
    """Draw a statistic of the grouping when members fall into groups at random, their sizes kept.

    The p-value of the statistic is exact if members are exchangeable, that is, if groups say nothing.

    Args:
        statistic: of a grouping, such as ``lambda g: intraclass_correlation(values, g)``; finite.
        groups: n names.
        draws: how many random groupings, at least 1.
        seed: a nonnegative integer; draw i depends on it and i only.

    Raises:
        ValueError: ``draws`` or ``seed`` is out of range, or the statistic is not finite.

    >>> values = [1.0, 1.1, 1.2, 5.0, 5.1, 5.2]
    >>> null = regrouped(lambda g: intraclass_correlation(values, g), list("aaabbb"), draws=199, seed=0)
    >>> null.pvalue(intraclass_correlation(values, list("aaabbb"))) < 0.2  # one grouping in ten does as well
    True
    """
    if draws < 1:
        raise ValueError(f"draws = {draws}; a null needs at least 1")
    if seed < 0:
        raise ValueError(f"seed = {seed}; need a nonnegative integer")
    names = list(groups)
    values = []
    for i in range(draws):
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))).permutation(len(names))
        values.append(statistic([names[j] for j in order]))
    return NullDistribution(np.array(values), "regrouped")


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
