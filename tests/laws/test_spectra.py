"""Laws the spectra obey whatever the function: Parseval, translation, relabelling, additivity."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spectral_edge.bases import character_spectrum, grouping, operation, to_grid
from spectral_edge.statistics import fourier_profile

seeds = st.integers(0, 2**32 - 1)
orders = st.integers(3, 14)
few = settings(max_examples=40, deadline=None)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@few
@given(seeds, orders)
def test_parseval_power_of_group_means_is_their_variance(seed, order):
    """Σ_{ω≠0} |f̂|² = M² Var f̄, where ω = 1 … M//2 stand for ω and -ω, and M/2 for itself."""
    means = noise(seed, order)
    profile = fourier_profile(means, np.arange(order), order)
    twice = np.where(2 * np.arange(1, order // 2 + 1) == order, 1, 2)
    np.testing.assert_allclose((profile.power * twice).sum(), order**2 * means.var())
    np.testing.assert_allclose(profile.variance_share, 1)


@few
@given(seeds, orders)
def test_shares_are_nonnegative_and_add_up_to_one(seed, order):
    spectrum = character_spectrum(noise(seed, 2, order, order))
    np.testing.assert_allclose(spectrum.power.sum(axis=(1, 2)), 1)
    np.testing.assert_allclose(sum(spectrum.shares.values()), 1)
    assert all((share >= 0).all() for share in spectrum.shares.values())


@few
@given(seeds, orders)
def test_the_listed_characters_exhaust_the_variance(seed, order):
    for characters in character_spectrum(noise(seed, 2, order, order)).strongest(order**2):
        np.testing.assert_allclose(sum(share for *_, share in characters), 1)


@few
@given(seeds, orders, st.integers(-20, 20), st.integers(-20, 20))
def test_translation_changes_only_phases(seed, order, right, down):
    grid = noise(seed, order, order)
    moved = np.roll(grid, (right, down), axis=(0, 1))
    np.testing.assert_allclose(character_spectrum(moved).power, character_spectrum(grid).power, atol=1e-12)
    labels = np.arange(order * order) % order
    there, here = (fourier_profile(grid.ravel(), (labels + shift) % order, order) for shift in (right, 0))
    np.testing.assert_allclose(there.power, here.power, atol=1e-10)


@few
@given(seeds, orders)
def test_a_function_of_the_sum_lies_wholly_on_the_sum_line(seed, order):
    x, y = np.indices((order, order))
    h = noise(seed, order)
    np.testing.assert_allclose(character_spectrum(h[(x + y) % order]).shares["sum"], 1)
    of_difference = character_spectrum(h[(x - y) % order])
    np.testing.assert_allclose(of_difference.shares["difference"] + of_difference.ambiguous, 1)
    np.testing.assert_allclose(character_spectrum(h[x]).shares["main_a"], 1)
    np.testing.assert_allclose(character_spectrum(h[y]).shares["main_b"], 1)


@few
@given(seeds, orders)
def test_the_sum_share_is_the_variance_share_of_the_grouping(seed, order):
    """Averaging over a + b = q keeps the characters (ω, ω) and no others: two routes to one number."""
    grid = noise(seed, order, order)
    x, y = np.indices((order, order))
    profile = fourier_profile(grid.ravel(), ((x + y) % order).ravel(), order)
    np.testing.assert_allclose(profile.variance_share, character_spectrum(grid).shares["sum"])


@few
@given(seeds, st.sampled_from([5, 7, 13]), st.integers(1, 12))
def test_multiplying_labels_by_a_unit_only_moves_frequencies(seed, p, unit):
    unit = unit % (p - 1) + 1
    values, labels = noise(seed, p * p), np.arange(p * p) % p
    here, there = (fourier_profile(values, c * labels % p, p) for c in (1, unit))
    np.testing.assert_allclose(there.concentration, here.concentration)
    np.testing.assert_allclose(there.variance_share, here.variance_share)
    moved = unit * there.peak % p
    np.testing.assert_array_equal(np.minimum(moved, p - moved), here.peak)


@few
@given(seeds, st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_order_of_inputs_scale_and_offset_do_not_matter(seed, scale, offset):
    rng = np.random.default_rng(seed)
    values, labels = rng.standard_normal((2, 70)), np.arange(70) % 7
    shuffled = rng.permutation(70)
    here = fourier_profile(values, labels, 7)
    there = fourier_profile(scale * (values[:, shuffled] + offset), labels[shuffled], 7)
    np.testing.assert_allclose(there.concentration, here.concentration, rtol=1e-6)
    np.testing.assert_allclose(there.variance_share, here.variance_share, rtol=1e-6)


@few
@given(seeds)
def test_grouping_lines_and_grid_lines_agree_in_every_coordinate_system(seed):
    """The variance share of x ± y on the pairs that fill the grid is the share of that grid's line."""
    p = 13
    everything = operation("add").pairs(p)
    for system, plus, minus in [
        ("additive", "sum", "difference"),
        ("discrete_log", "discrete_log", "discrete_log_difference"),
        ("gaussian", "gaussian_radial", "gaussian_angular"),
    ]:
        q, r = grouping(plus, p), grouping(minus, p)
        pairs = everything[q(everything) >= 0]
        values = noise(seed, len(pairs))
        spectrum = character_spectrum(to_grid(values, pairs, p, system))
        radial, angular = (fourier_profile(values, g(pairs), g.order).variance_share for g in (q, r))
        np.testing.assert_allclose(radial, spectrum.shares["sum"])
        np.testing.assert_allclose(angular, spectrum.shares["difference"] + spectrum.ambiguous)
