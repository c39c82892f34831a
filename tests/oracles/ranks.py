"""Slow twins of the rank statistics: pairs counted one by one."""

from __future__ import annotations


def mid_ranks(values):
    """Rank of each value: one plus those below it plus half of the others equal to it."""
    return [1 + sum(v < u for v in values) + (sum(v == u for v in values) - 1) / 2 for u in values]


def spearman(x, y):
    """Pearson's correlation of the ranks, from its definition."""
    left, right = mid_ranks(x), mid_ranks(y)
    mean = (len(x) + 1) / 2
    covariance = sum((a - mean) * (b - mean) for a, b in zip(left, right, strict=True))
    return covariance / (sum((a - mean) ** 2 for a in left) * sum((b - mean) ** 2 for b in right)) ** 0.5


def area(positive, negative):
    """Share of pairs with the positive above, ties 1/2."""
    pairs = [(a, b) for a in positive for b in negative]
    return sum(a > b for a, b in pairs) / len(pairs) + sum(a == b for a, b in pairs) / len(pairs) / 2


def hanley_mcneil_variance(a, m, n):
    """Variance of the area for exponential scores, by the probabilities Q1 and Q2 of the 1982 paper."""
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    return (a * (1 - a) + (m - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / (m * n)
