"""What a few runs tell: intervals of a mean and of a proportion, and one p-value out of several."""

from __future__ import annotations

import operator
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from spectral_edge.statistics.samples import as_sample, check_level

__all__ = ["combine_pvalues", "mean_interval", "proportion_interval"]


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval m ± t s/√n of a mean, s² = Σ(x - m)²/(n - 1), t with n - 1 degrees of freedom.

    Exact for independent normal values. With three values t is 4.30, not 1.96: the width is the honest price of
    three seeds. Source: Student 1908; paper section 5, null (e).

    Args:
        values: (n,) finite numbers, one a run; n at least 2, since one value says nothing of its own spread.
        level: Probability of covering the mean, in (0, 1).

    Returns:
        (low, high), symmetric about the mean. Equal values give (m, m): they show no spread, which is not the same
        as there being none.

    Raises:
        ValueError: There are fewer than 2 values, one is not finite, or ``level`` is out of range.

    >>> low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    sample = as_sample(values, "values", least=2)
    check_level(level)
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    half = _t_quantile((1 + level) / 2, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean() - half), float(sample.mean() + half)


@cache  # a bootstrap asks thousands of times for the same one, which takes longer than all else
def _t_quantile(probability: float, freedom: int) -> float:
    return float(stats.t.ppf(probability, freedom))


def proportion_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of Clopper and Pearson for a probability, from k successes in n trials.

    It holds every q that neither one-sided binomial test at (1 - level)/2 rejects: P(X >= k; low) =
    P(X <= k; high) = (1 - level)/2. Its coverage is at least ``level`` whatever the probability, and mostly above.
    Source: Clopper and Pearson, Biometrika 26 (1934).

    Args:
        successes: k in 0 … n.
        n: Trials, at least 1, independent of each other: three seeds of one task are, its checkpoints are not.
        level: Least probability of covering, in (0, 1).

    Returns:
        (low, high) in [0, 1]; low is 0 for k = 0, high is 1 for k = n.

    Raises:
        ValueError: ``n``, ``successes`` or ``level`` is out of range.

    >>> low, high = proportion_interval(12, 12)
    >>> round(low, 3), high
    (0.735, 1.0)
    """
    k, trials = operator.index(successes), operator.index(n)
    if trials < 1:
        raise ValueError(f"n = {n} trials; a proportion needs at least 1")
    if not 0 <= k <= trials:
        raise ValueError(f"successes = {successes} is not in 0 … n = {n}")
    check_level(level)
    interval = stats.binomtest(k, trials).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def combine_pvalues(pvalues: ArrayLike) -> float:
    """Combine independent p-values by Fisher's method: P(χ² with 2m degrees of freedom >= -2 Σ ln p).

    Tests that no run has the effect against at least one having it, so one strong run can carry the others: print
    it beside them, not instead. Uniform if they are; p-values above uniform, such as those of ties, give one that
    is above uniform too. Source: Fisher 1932.

    Args:
        pvalues: (m,) in (0, 1], m at least 1, of independent runs. 0 is refused: p = (b + 1)/(n + 1) never is.

    Returns:
        The p-value in (0, 1]. A single one is returned as it is; one that underflows is the smallest normal float.

    Raises:
        ValueError: There are none, or one is outside (0, 1].

    >>> round(combine_pvalues([0.05, 0.1, 0.2]), 4)
    0.0318
    """
    array = as_sample(pvalues, "pvalues")
    refused = np.flatnonzero((array <= 0) | (array > 1))
    if refused.size:
        raise ValueError(f"pvalues[{refused[0]}] is {array[refused[0]]}, not in (0, 1]; use (b + 1)/(n + 1)")
    if len(array) == 1:
        return float(array[0])
    return float(max(stats.combine_pvalues(array, method="fisher").pvalue, np.finfo(np.float64).tiny))
