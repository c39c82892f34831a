"""Shares of the signed spectrum as statistics, against the spectrum itself."""

import numpy as np
import pytest
import torch

import spectral_edge as se

P = 7
PAIRS = np.stack(np.divmod(np.arange(P * P), P), axis=1)
LINES = ("main_a", "main_b", "sum", "difference", "other")


def response(p=P, pairs=PAIRS, seed=0):
    return torch.randn(len(pairs), 3, generator=torch.Generator().manual_seed(seed))


def test_the_shares_are_those_of_the_character_spectrum():
    h = response()
    grid = h.double().square().sum(1).numpy().reshape(P, P)
    shares = se.character_spectrum(grid).shares
    for line in LINES:
        assert se.CharacterShare(PAIRS, P, line)(h) == pytest.approx(shares[line][0])


def test_a_spike_on_the_diagonal_is_averaged_away():
    h = torch.ones(P * P, 1)
    h[PAIRS[:, 0] == PAIRS[:, 1]] = 10
    h += 0.1 * response()[:, :1]
    kept, averaged = (se.CharacterShare(PAIRS, P, "difference", diagonal=d)(h) for d in ("kept", "averaged"))
    assert kept > 0.95
    assert averaged < 0.5


@pytest.mark.parametrize(("p", "coordinates"), [(7, "additive"), (7, "discrete_log"), (13, "gaussian")])
@pytest.mark.parametrize("line", LINES)
def test_exchanged_tokens_are_those_of_a_grid_that_is_built_again(p, coordinates, line):
    pairs = np.stack(np.divmod(np.arange(p * p), p), axis=1)
    h = response(p, pairs)
    grid = se.to_grid(h.double().square().sum(1).numpy(), pairs, p, coordinates)[0]
    x, y = np.random.default_rng(3).permuted(np.tile(np.arange(len(grid)), (1, 2, 1)), axis=2)[0]
    slow = se.character_spectrum(grid[x][:, y]).shares[line][0]
    permuted = se.CharacterShare(pairs, p, line, coordinates).permute_labels(np.random.default_rng(3))
    assert permuted(h) == pytest.approx(slow, abs=1e-9)
