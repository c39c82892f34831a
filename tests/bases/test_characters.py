import numpy as np
import pytest
import torch

from oracles.spectra import character_shares, line_of
from spectral_edge.bases import character_spectrum, discrete_log_table, operation, to_grid

LINES = ("main_a", "main_b", "sum", "difference", "other")


def wave(order, omega_a, omega_b, phase=0.3):
    x, y = np.indices((order, order))
    return np.cos(2 * np.pi * (omega_a * x + omega_b * y) / order + phase)


@pytest.mark.parametrize("order", [5, 6, 7])
def test_power_shares_and_top_match_the_slow_twin(order):
    grid = np.random.default_rng(order).standard_normal((order, order))
    spectrum = character_spectrum(grid)
    slow = character_shares(grid.tolist())
    assert spectrum.power[0, 0, 0] == 0
    for (u, v), share in slow.items():
        assert spectrum.power[0, u, v] == pytest.approx(share, abs=1e-12)
    for line in LINES:
        expected = sum(share for (u, v), share in slow.items() if line_of(u, v, order) == line)
        assert spectrum.shares[line][0] == pytest.approx(expected, abs=1e-12)
    joint = {frozenset([(u, v), (-u % order, -v % order)]): 0.0 for u, v in slow}
    for (u, v), share in slow.items():
        joint[frozenset([(u, v), (-u % order, -v % order)])] += share
    listed = spectrum.strongest(order**2)[0]
    assert [share for *_, share in listed] == pytest.approx(sorted(joint.values(), reverse=True))
    for u, v, share in listed:
        assert 0 <= u <= order // 2
        assert -order / 2 < v <= order / 2
        assert share == pytest.approx(joint[frozenset([(u % order, v % order), (-u % order, -v % order)])])
    assert spectrum.top == [listed[0]]


@pytest.mark.parametrize(
    ("omega", "line", "listed"),
    [
        ((26, 26), "sum", (26, 26)),
        ((71, 71), "sum", (26, 26)),
        ((16, -16), "difference", (16, -16)),
        ((-16, 16), "difference", (16, -16)),
        ((7, 0), "main_a", (7, 0)),
        ((0, -9), "main_b", (0, 9)),
        ((3, 8), "other", (3, 8)),
    ],
)
def test_a_character_lies_on_its_line_and_is_listed_signed(omega, line, listed):
    spectrum = character_spectrum(4 + wave(97, *omega))
    assert tuple(spectrum.shares) == LINES
    for name, share in spectrum.shares.items():
        assert share == pytest.approx([1.0 if name == line else 0.0], abs=1e-12)
    assert spectrum.top[0] == (*listed, pytest.approx(1.0))


def test_strongest_ranks_by_variance():
    # A cosine of amplitude A has variance A²/2: shares 9, 4, 1 of 14.
    grid = 3 * wave(11, 2, 2) + 2 * wave(11, 1, -4) + wave(11, 0, 5)
    (ranked,) = character_spectrum(grid).strongest(3)
    assert [(u, v) for u, v, _ in ranked] == [(2, 2), (1, -4), (0, 5)]
    assert [share for *_, share in ranked] == pytest.approx([9 / 14, 4 / 14, 1 / 14])


def test_the_doubly_alternating_character_counts_as_sum_and_is_reported():
    spectrum = character_spectrum(np.stack([wave(6, 3, 3, phase=0), wave(6, 1, 1)]))
    np.testing.assert_allclose(spectrum.shares["sum"], [1, 1])
    np.testing.assert_allclose(spectrum.ambiguous, [1, 0], atol=1e-12)
    assert spectrum.top[0] == (3, 3, pytest.approx(1.0))
    assert (character_spectrum(wave(7, 3, 3)).ambiguous == 0).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9])
def test_a_constant_has_no_shares(constant):
    spectrum = character_spectrum(np.stack([np.full((97, 97), constant), wave(97, 1, 1)]))
    assert all(np.isnan(share[0]) and np.isfinite(share[1]) for share in spectrum.shares.values())
    (u, v, share), other = spectrum.top
    assert (u, v) == (0, 0)
    assert np.isnan(share)
    assert other[:2] == (1, 1)


def test_a_small_variation_on_a_large_mean_is_still_read():
    spectrum = character_spectrum(1e6 + 1e-6 * wave(97, 5, -5))
    assert spectrum.shares["difference"][0] == pytest.approx(1, abs=1e-8)


def test_spectrum_tabulates_and_prints_shortly():
    spectrum = character_spectrum(np.stack([wave(7, 1, 1), wave(7, 2, -2)]))
    table = spectrum.to_polars()
    assert table.columns[:6] == ["mode", *LINES]
    assert table["top_omega_b"].to_list() == [1, -2]
    assert repr(spectrum).startswith("CharacterSpectrum(k=2, M=7; mean shares: main_a 0.00, main_b 0.00, sum 0.50")


@pytest.mark.parametrize("system", ["discrete_log", "gaussian"])
def test_to_grid_places_values_at_their_coordinates(system):
    p, root = 13, 5
    pairs = operation("add").pairs(p)
    a, b = pairs.T
    u, v = ((a + root * b) % p, (a - root * b) % p) if system == "gaussian" else (a, b)
    log = discrete_log_table(p)
    defined = (u != 0) & (v != 0)
    f = np.cos(2 * np.pi * (log[u] + log[v]) / (p - 1))
    grid = to_grid(f, pairs, p, system)
    assert grid.shape == (1, p - 1, p - 1)
    np.testing.assert_array_equal(grid[0, log[u[defined]], log[v[defined]]], f[defined])
    assert character_spectrum(grid).top[0] == (1, 1, pytest.approx(1.0))


def test_to_grid_leaves_cells_without_a_pair_empty():
    pairs = operation("mul").pairs(5)
    grid = to_grid(torch.arange(32).reshape(2, 16), pairs, 5)
    assert grid.dtype == np.float64
    assert np.isnan(grid[:, 0]).all()
    assert np.isnan(grid[:, :, 0]).all()
    np.testing.assert_array_equal(grid[:, 1:, 1:], np.arange(32).reshape(2, 4, 4))


def test_a_grid_with_empty_cells_has_no_spectrum():
    grid = to_grid(np.ones(16), operation("mul").pairs(5), 5)
    with pytest.raises(ValueError, match=r"energy_grid\[0, 0, 0\] is nan: .* coordinates that fill the grid"):
        character_spectrum(grid)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 2), (1, 1, 5, 5)])
def test_a_grid_that_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(k, M, M\) or \(M, M\)"):
        character_spectrum(np.ones(shape))


@pytest.mark.parametrize(
    ("values", "pairs", "message"),
    [
        ([1.0, 2.0], [[1, 2]], r"values of shape \(2,\) do not match 1 pairs"),
        ([np.nan], [[1, 2]], r"values\[0, 0\] is nan"),
        ([1.0, 2.0], [[1, 2], [1, 2]], "pairs repeat"),
    ],
)
def test_to_grid_refuses_values_it_cannot_place(values, pairs, message):
    with pytest.raises(ValueError, match=message):
        to_grid(values, pairs, 5)


def test_asking_for_no_character_is_refused():
    with pytest.raises(ValueError, match="n = 0 characters"):
        character_spectrum(wave(5, 1, 1)).strongest(0)
