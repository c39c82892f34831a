"""Functions whose spectra are known in closed form, read for the eye."""

import numpy as np
import pytest

from spectral_edge.grokking import ModularTask
from spectral_edge.serve.reading import character_share, frequency_share, profile, read_function

P = 13
A, B = np.divmod(np.arange(P * P), P)


@pytest.fixture
def task():
    return ModularTask("add", P)


def wave(w):
    return np.cos(2 * np.pi * w * (A + B) / P + 0.3)


def test_one_cosine_of_the_sum_is_one_bar_and_one_character(task):
    found = read_function(2 + wave(4), task, "sum", "additive", None)
    assert found.peak == 4
    np.testing.assert_allclose(found.power, np.eye(6)[3], atol=1e-12)
    np.testing.assert_allclose(found.grid, (2 + wave(4)).reshape(P, P), atol=1e-12)
    assert tuple(map(abs, found.strongest[0][:2])) == (4, 4)
    assert found.variance_share == pytest.approx(1)


def test_shares_add_up_to_the_group_means(task):
    f = 1 + wave(2) + 0.5 * wave(5) + np.random.default_rng(0).normal(size=P * P)
    shares = sum(frequency_share(f, task, "sum", "additive", None, w) for w in range(1, P // 2 + 1))
    means = np.array([f[q == (A + B) % P].mean() for q in range(P)])
    np.testing.assert_allclose(shares + f.mean(), means[(A + B) % P].reshape(P, P), atol=1e-12)


def test_the_share_of_a_frequency_is_its_wave(task):
    f = 1 + wave(2) + 0.5 * wave(5)
    np.testing.assert_allclose(
        frequency_share(f, task, "sum", "additive", None, 5), 0.5 * wave(5).reshape(P, P), atol=1e-12
    )


def test_the_share_of_a_character_is_its_wave(task):
    f = 3 + np.cos(2 * np.pi * (2 * A - 5 * B) / P) + wave(1)
    grid = character_share(f, task, "additive", (2, -5))
    np.testing.assert_allclose(grid, np.cos(2 * np.pi * (2 * A - 5 * B) / P).reshape(P, P), atol=1e-12)


def test_multiplication_is_one_mode_in_the_discrete_log():
    task = ModularTask("mul", P)
    log = {pow(2, k, P): k for k in range(P - 1)}  # 2 generates the units mod 13
    a, b = task.pairs.T
    f = np.array([np.cos(2 * np.pi * 3 * (log[x] + log[y]) / 12) if x * y else 0.0 for x, y in zip(a, b, strict=True)])
    found = read_function(f, task, "discrete_log", "discrete_log", None)
    assert found.peak == 3
    assert found.concentration == pytest.approx(1)
    assert tuple(map(abs, found.strongest[0][:2])) == (3, 3)


def test_only_the_chosen_inputs_are_read(task):
    f = wave(4) + 1
    chosen = np.flatnonzero(A < 7)
    np.testing.assert_allclose(
        profile(f[None], task, "sum", chosen).group_means[0], 1 + np.cos(2 * np.pi * 4 * np.arange(P) / P + 0.3)
    )
    spoiled = np.where(A < 7, f, 99.0)
    np.testing.assert_array_equal(
        profile(spoiled[None], task, "sum", chosen).power, profile(f[None], task, "sum", chosen).power
    )


@pytest.mark.parametrize("frequency", [0, 7, -1])
def test_frequencies_that_do_not_exist_are_refused(task, frequency):
    with pytest.raises(ValueError, match=r"1\.\.6"):
        frequency_share(wave(1), task, "sum", "additive", None, frequency)


@pytest.mark.parametrize("character", [(0, 0), (8, 0), (0, -8)])
def test_characters_that_do_not_exist_are_refused(task, character):
    with pytest.raises(ValueError, match="character"):
        character_share(wave(1), task, "additive", character)
