"""Slow twins of the rank statistics: pairs counted one by one, labellings enumerated."""

from __future__ import annotations

from itertools import combinations


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


def area_pvalue(positive, negative):
    """Share of all choices of positives among the values whose area is at least as large."""
    values = [*positive, *negative]
    measured = area(positive, negative)
    found = []
    for chosen in combinations(range(len(values)), len(positive)):
        rest = [values[i] for i in range(len(values)) if i not in chosen]
        found.append(area([values[i] for i in chosen], rest) >= measured - 1e-12)
    return sum(found) / len(found)


def hanley_mcneil_variance(a, m, n):
    """Variance of the area for exponential scores, by the probabilities Q1 and Q2 of the 1982 paper."""
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    return (a * (1 - a) + (m - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / (m * n)
