import numpy as np
import pytest
import torch

from oracles.spectra import group_means, power_profile, variance_share
from spectral_edge.statistics import expected_concentration, fourier_profile

P = 97
A, B = (axis.ravel() for axis in np.indices((P, P)))
SUM = (A + B) % P


@pytest.mark.parametrize("order", [2, 5, 6, 11])
def test_profile_matches_the_slow_twin(order):
    rng = np.random.default_rng(order)
    labels = np.concatenate([np.arange(-1, order), rng.integers(-1, order, 60)])
    values = rng.standard_normal((3, len(labels))) + 5
    profile = fourier_profile(values, labels, order)
    for k, row in enumerate(values.tolist()):
        means = group_means(row, labels.tolist(), order)
        power = power_profile(means)
        assert profile.group_means[k] == pytest.approx(means)
        assert profile.power[k] == pytest.approx(power)
        assert profile.peak[k] == 1 + power.index(max(power))
        assert profile.concentration[k] == pytest.approx(max(power) / sum(power))
        assert profile.peakedness[k] == pytest.approx(max(power) / (sum(power) / len(power)))
        assert profile.variance_share[k] == pytest.approx(variance_share(row, labels.tolist(), order))
    assert profile.counts.tolist() == [labels.tolist().count(q) for q in range(order)]


@pytest.mark.parametrize("omega", [1, 26, 48])
def test_one_mode_of_the_sum_has_concentration_one(omega):
    profile = fourier_profile(3 + np.cos(2 * np.pi * omega * (A + B) / P), SUM, P)
    assert profile.peak.tolist() == [omega]
    assert profile.concentration == pytest.approx([1])
    assert profile.peakedness == pytest.approx([48])
    assert profile.variance_share == pytest.approx([1])
    assert profile.power[0, omega - 1] == pytest.approx((P / 2) ** 2)  # a unit cosine over M points


def test_concentration_of_two_modes_is_the_larger_share():
    f = 2 * np.cos(2 * np.pi * 3 * SUM / P) + np.sin(2 * np.pi * 10 * SUM / P)
    profile = fourier_profile(f, SUM, P)
    assert profile.concentration == pytest.approx([4 / 5])
    assert profile.strongest(2).tolist() == [[3, 10]]


def test_variance_share_is_the_grouped_part_of_the_variance():
    # Two orthogonal waves: the sum explains 1 of 1 + 4 parts.
    f = np.cos(2 * np.pi * 5 * (A + B) / P) + 2 * np.cos(2 * np.pi * 7 * (A - B) / P)
    assert fourier_profile(f, SUM, P).variance_share == pytest.approx([1 / 5])


def test_variance_share_weighs_groups_by_their_counts():
    # Groups {0, 2} and {5}: overall mean 7/3, between 2·(4/3)² + (8/3)² = 32/3, total 38/3.
    assert fourier_profile([0.0, 2, 5], [0, 0, 1], 2).variance_share == pytest.approx([32 / 38])


def test_unlabelled_inputs_do_not_count():
    labels = np.where(A == 0, -1, SUM)
    clean = np.cos(2 * np.pi * SUM / P)
    spoiled = np.where(A == 0, 1e3, clean)
    np.testing.assert_allclose(
        fourier_profile(spoiled, labels, P).concentration, fourier_profile(clean, labels, P).concentration
    )
    assert fourier_profile(spoiled, labels, P).variance_share == pytest.approx([1])


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9])
def test_a_constant_has_no_spectrum(constant):
    profile = fourier_profile(np.full(P * P, constant), SUM, P)
    assert profile.peak.tolist() == [0]
    assert profile.strongest(2).tolist() == [[0, 0]]
    assert np.isnan([profile.concentration, profile.peakedness, profile.variance_share]).all()
    np.testing.assert_allclose(profile.group_means, constant)


def test_equal_group_means_have_no_spectrum_but_a_variance_share_of_zero():
    profile = fourier_profile(np.cos(2 * np.pi * 7 * (A - B) / P), SUM, P)
    assert profile.peak.tolist() == [0]
    assert np.isnan(profile.concentration).all()
    assert profile.variance_share == pytest.approx([0], abs=1e-12)


def test_a_small_variation_on_a_large_mean_is_still_read():
    profile = fourier_profile(1e6 + 1e-6 * np.cos(2 * np.pi * 9 * SUM / P), SUM, P)
    assert profile.peak.tolist() == [9]
    assert profile.concentration == pytest.approx([1], abs=1e-7)
    assert profile.variance_share == pytest.approx([1], abs=1e-7)


def test_tensors_and_single_functions_are_accepted():
    values = torch.cos(2 * torch.pi * 3 * torch.arange(11) / 11)
    profile = fourier_profile(values, torch.arange(11), 11)
    assert profile.peak.tolist() == [3]
    assert profile.power.shape == (1, 5)


def test_an_empty_group_takes_the_mean_of_the_others():
    profile = fourier_profile([1.0, 2.0, 6.0, 7.0], [0, 1, 3, 3], 4)
    filled = [1.0, 2.0, (1 + 2 + 6.5) / 3, 6.5]
    assert profile.group_means[0] == pytest.approx(filled)
    assert profile.power[0] == pytest.approx(power_profile(filled))
    assert profile.variance_share == pytest.approx([variance_share([1.0, 2, 6, 7], [0, 1, 2, 2], 3)])
    assert profile.counts.tolist() == [1, 1, 0, 2]


@pytest.mark.parametrize(
    ("values", "labels", "order", "message"),
    [
        ([1.0, np.nan], [0, 1], 2, r"values\[0, 1\] is nan"),
        ([[1.0, 2.0], [np.inf, 0.0]], [0, 1], 2, r"values\[1, 0\] is inf"),
        ([], [], 2, "not be empty"),
        (np.ones((1, 1, 2)), [0, 1], 2, "must have shape"),
        ([1.0, 2.0], [0, 1, 1], 2, r"labels must be integers of shape \(2,\)"),
        ([1.0, 2.0], [0.0, 1.0], 2, "labels must be integers"),
        ([1.0, 2.0], [0, 2], 2, r"labels\[1\] = 2 is not in -1 … 1"),
        ([1.0, 2.0], [0, -2], 2, r"labels\[1\] = -2"),
        ([1.0, 2.0], [-1, -1], 2, "every label is -1"),
        ([1.0, 2.0], [0, 0], 1, "order = 1 leaves no frequency"),
    ],
)
def test_bad_input_is_named(values, labels, order, message):
    with pytest.raises(ValueError, match=message):
        fourier_profile(values, labels, order)


@pytest.mark.parametrize("n", [0, 6])
def test_strongest_is_bounded_by_the_frequencies_there_are(n):
    with pytest.raises(ValueError, match=f"n = {n} frequencies asked for; there are 5"):
        fourier_profile(np.arange(11.0), np.arange(11), 11).strongest(n)


def test_profile_tabulates_and_prints_shortly():
    profile = fourier_profile(np.cos(2 * np.pi * np.outer([1, 2, 3, 4], np.arange(11)) / 11), np.arange(11), 11)
    assert profile.to_polars()["peak"].to_list() == [1, 2, 3, 4]
    assert repr(profile) == "FourierProfile(k=4, M=11; F@ω: 1.000@1, 1.000@2, 1.000@3, …)"


def test_expected_concentration_is_the_closed_form():
    assert expected_concentration(3) == 1
    assert expected_concentration(7) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert expected_concentration(97) == pytest.approx(0.093, abs=5e-4)  # paper section 4, item 5
    assert expected_concentration(96) == expected_concentration(97)
    with pytest.raises(ValueError, match="order = 1 leaves no frequency"):
        expected_concentration(1)
