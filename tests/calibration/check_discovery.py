"""Discovery under its null and under planted structure: p-values are uniform, power grows with the signal."""

import numpy as np
import pytest
from scipy import stats

from spectral_edge.discovery import agreement, discover_basis
from spectral_edge.discovery.circles import Scree, find_circles
from support.planted_groups import abelian

_DRAWS = 19
_REPEATS = 60


def random_space(n, r, rng):
    draws = rng.standard_normal((n, r))
    return np.linalg.qr(draws - draws.mean(axis=0))[0]


def best_pvalue(seed, n=19, r=5):
    rng = np.random.default_rng(seed)
    space = random_space(n, r, rng)
    scree = Scree(np.ones(n - 1) / (n - 1), np.zeros(n - 1), space)
    return find_circles(scree, space @ space.T, _DRAWS, rng).pvalue.min()


def test_pvalues_of_the_best_circle_are_uniform_over_random_spaces():
    """Uniform on 1/20 … 20/20: a chi-squared test of five bins, failing one time in a thousand."""
    pvalues = np.array([best_pvalue(seed) for seed in range(_REPEATS)])
    counts = np.histogram(pvalues, bins=np.array([0, 4, 8, 12, 16, 20]) / (_DRAWS + 1) + 1e-9)[0]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_noise_is_called_structured_no_more_often_than_the_level():
    """Gaussian and spiked noise; the tail of the binomial at level 0.05."""
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        f = rng.standard_normal((2, 15, 15)) if seed % 2 else rng.standard_t(3, (2, 15, 15))
        false += discover_basis(f.reshape(2, -1), 15, null_draws=39).answer != "no structure"
    assert stats.binomtest(false, 40, 0.05, alternative="greater").pvalue > 1e-3


_DRAWN = 12


def rates(noise):
    """Shares of draws with the law exact and with structure found, three functions of 841 pairs a draw."""
    exact = structured = 0
    for seed in range(_DRAWN):
        modes, classes = abelian((29,), [(2,), (5,), (11,)], noise=noise, k=3, seed=seed)
        found = discover_basis(modes, 29, null_draws=40, seed=seed)
        exact += found.law is not None and agreement(found.law.classes.ravel(), classes.ravel()) == 1.0
        structured += found.answer != "no structure"
    return exact / _DRAWN, structured / _DRAWN


@pytest.mark.parametrize(
    ("noise", "exact", "structured"),
    [
        (0.3, (1.0, 1.0), (1.0, 1.0)),
        (1.0, (1.0, 1.0), (1.0, 1.0)),
        (1.5, (0.0, 0.25), (0.75, 1.0)),
        (2.0, (0.0, 0.1), (0.6, 1.0)),
        (4.0, (0.0, 0.0), (0.0, 0.1)),
    ],
)
def test_power_falls_from_certainty_to_nothing_as_noise_grows(noise, exact, structured):
    """Noise in units of the signal's standard deviation; the law goes before the structure does."""
    measured = rates(noise)
    assert exact[0] <= measured[0] <= exact[1]
    assert structured[0] <= measured[1] <= structured[1]
