"""The nulls say "nothing" of noise at the stated rate, and find what was planted."""

import numpy as np
import pytest
from scipy import stats

from spectral_edge.bases import grouping, operation
from spectral_edge.statistics import (
    NullDistribution,
    adjust,
    expected_concentration,
    fourier_profile,
)

P = 11
PAIRS = operation("add").pairs(P)
SUM = grouping("sum", P)(PAIRS)


def permutation_pvalues(values, n, seed):
    """Of the concentration, whole groups exchanged."""
    names = np.random.default_rng(seed).permuted(np.tile(np.arange(P), (n, 1)), axis=1)
    profiles = [fourier_profile(row, SUM, P) for row in values]
    nulls = [NullDistribution(profile.renamed(names).concentration, "input_permutation") for profile in profiles]
    return np.array([null.pvalue(p.concentration[0]) for null, p in zip(nulls, profiles, strict=True)])


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_permutation_pvalues_of_noise_are_uniform(draw):
    values = getattr(np.random.default_rng(1), draw)((800, len(PAIRS)))
    pvalues = permutation_pvalues(values, n=499, seed=2)
    # The p-values are uniform on 1/500 … 1: spread each over its cell to compare with a continuous law.
    spread = pvalues - np.random.default_rng(3).random(len(pvalues)) / 500
    assert stats.kstest(spread, "uniform").pvalue > 0.01
    assert abs((pvalues <= 0.05).mean() - 0.05) < 4 * (0.05 * 0.95 / 800) ** 0.5


def test_a_planted_mode_is_found_and_its_shuffle_is_not():
    rng = np.random.default_rng(0)
    planted = np.cos(2 * np.pi * 4 * SUM / P) + rng.standard_normal((20, len(SUM)))
    shuffled = rng.permuted(planted, axis=1)
    assert (fourier_profile(planted, SUM, P).peak == 4).all()
    assert (permutation_pvalues(planted, 499, 0) <= 0.05).mean() > 0.9
    assert (adjust(permutation_pvalues(shuffled, 499, 0)) > 0.05).all()


@pytest.mark.parametrize("order", [7, 31, 97])
def test_white_noise_has_the_expected_concentration(order):
    values = np.random.default_rng(order).standard_normal((4000, 3 * order))
    concentration = fourier_profile(values, np.arange(3 * order) % order, order).concentration
    standard_error = concentration.std() / 4000**0.5
    assert abs(concentration.mean() - expected_concentration(order)) < 4 * standard_error


@pytest.mark.parametrize("order", [6, 30])
def test_an_even_order_has_a_larger_concentration_than_the_closed_form(order):
    values = np.random.default_rng(order).standard_normal((20_000, order))
    concentration = fourier_profile(values, np.arange(order), order).concentration
    assert concentration.mean() > expected_concentration(order) + 4 * concentration.std() / 20_000**0.5
