"""Slow twins of the spectra: the definitions, summed term by term."""

from __future__ import annotations

import cmath
import math


def group_means(values, labels, order):
    """Average ``values`` over each label, one input at a time."""
    members = [[] for _ in range(order)]
    for value, label in zip(values, labels, strict=True):
        if label >= 0:
            members[label].append(value)
    return [sum(group) / len(group) for group in members]


def power_profile(means):
    """|Σ_q f̄[q] exp(-2πiωq/M)|² for ω = 1 … M//2, summed term by term."""
    order = len(means)
    return [
        abs(sum(mean * cmath.exp(-2j * math.pi * omega * q / order) for q, mean in enumerate(means))) ** 2
        for omega in range(1, order // 2 + 1)
    ]


def variance_share(values, labels, order):
    """Between-group over total variance, over the labelled inputs, one input at a time."""
    means = group_means(values, labels, order)
    kept = [(value, means[label]) for value, label in zip(values, labels, strict=True) if label >= 0]
    overall = sum(value for value, _ in kept) / len(kept)
    return sum((m - overall) ** 2 for _, m in kept) / sum((v - overall) ** 2 for v, _ in kept)


def character_shares(grid):
    """Share of Σ_{ω≠0} |Σ f(x, y) exp(-2πi(ω_a x + ω_b y)/M)|² of each character, as {(ω_a, ω_b): share}."""
    order = len(grid)
    power = {
        (u, v): abs(
            sum(
                grid[x][y] * cmath.exp(-2j * math.pi * (u * x + v * y) / order)
                for x in range(order)
                for y in range(order)
            )
        )
        ** 2
        for u in range(order)
        for v in range(order)
        if (u, v) != (0, 0)
    }
    total = sum(power.values())
    return {character: value / total for character, value in power.items()}


def line_of(u, v, order):
    """Name the line a character lies on; (M/2, M/2) counts as sum."""
    if v == 0:
        return "main_a"
    if u == 0:
        return "main_b"
    if u == v:
        return "sum"
    return "difference" if (u + v) % order == 0 else "other"
