"""Random directions as a null: an edge that is one more random direction has uniform p-values, a planted one small."""

import numpy as np
import pytest

from spectral_edge.bases import character_spectrum, grouping, operation, to_grid
from spectral_edge.statistics import (
    NullDistribution,
    combine_pvalues,
    fourier_profile,
    random_directions,
    rarity_pvalue,
)
from support.uniformity import is_never_too_small, is_uniform, rejects_at_the_nominal_rate

P = 11
PAIRS = operation("add").pairs(P)
Q = grouping("sum", P)
SUM = Q(PAIRS)
DIM, WIDTH = 24, 3
RUNS, DRAWS = 510, 79
STATISTICS = ("concentration", "variance_share", "share:sum", "share:difference")


def response_map():
    """A linear response of WIDTH activations at each input to DIM parameters, far from white over the inputs.

    Its first parameters move modes of the sum and of the difference: f = |J v|² of a random direction then has
    concentrations and shares well above white noise, as in a trained network.
    """
    rng = np.random.default_rng(7)
    a, b = PAIRS.T
    waves = [np.cos(2 * np.pi * w * (a + sign * b) / P) for w in (2, 4) for sign in (1, -1)]
    jacobian = rng.standard_normal((DIM, WIDTH, len(PAIRS)))
    jacobian[: len(waves)] += 2 * np.array(waves)[:, None, :]
    return jacobian


def energies(directions):
    """f(a, b) = |J(a, b) v|² of each direction v, (n, N)."""
    return (np.tensordot(directions, response_map(), axes=1) ** 2).sum(axis=1)


def measure(functions):
    profile = fourier_profile(functions, SUM, Q.order)
    shares = character_spectrum(to_grid(functions, PAIRS, P)).shares
    return {
        "concentration": profile.concentration,
        "variance_share": profile.variance_share,
        "share:sum": shares["sum"],
        "share:difference": shares["difference"],
        "peak": profile.peak,
    }


@pytest.fixture(scope="module")
def blocks():
    """Each statistic of RUNS blocks of 1 + DRAWS directions: the first of a block plays the edge."""
    directions = random_directions(RUNS * (1 + DRAWS), DIM, seed=11).double().numpy()
    found = [measure(energies(part)) for part in np.split(directions, 17)]
    return {name: np.concatenate([part[name] for part in found]).reshape(RUNS, 1 + DRAWS) for name in found[0]}


def pvalues(values, alternative="greater"):
    return np.array([NullDistribution(row[1:], "random_directions").pvalue(row[0], alternative) for row in values])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_edge_like_any_other_direction_has_uniform_pvalues(blocks, statistic):
    for alternative in ("greater", "less"):
        p = pvalues(blocks[statistic], alternative)
        assert is_uniform(p)
        assert rejects_at_the_nominal_rate(p, 0.05)


def test_the_null_law_is_not_white_noise(blocks):
    """Held against the law of white noise the same edges would look special: the null has to be the model's own."""
    white = measure(np.random.default_rng(0).standard_normal((DRAWS, len(PAIRS))))
    for statistic in ("variance_share", "share:sum"):
        naive = np.array([NullDistribution(white[statistic], "white").pvalue(edge) for edge in blocks[statistic][:, 0]])
        assert not is_never_too_small(naive)


def test_a_null_of_few_draws_is_coarse_but_valid():
    """With 9 draws p is one of 0.1 … 1, each as often; the share b/n of larger draws would be 0 one time in ten."""
    values = np.random.default_rng(4).standard_normal((1000, 10))
    assert is_uniform(pvalues(values))
    assert all(rejects_at_the_nominal_rate(pvalues(values), level) for level in (0.1, 0.2, 0.5))
    larger = (values[:, 1:] >= values[:, :1]).mean(axis=1)
    assert not is_never_too_small(larger)


def test_rarity_of_a_peak_is_never_too_small(blocks):
    peaks = blocks["peak"].tolist()
    assert is_never_too_small([rarity_pvalue(row[0], row[1:]) for row in peaks])


@pytest.mark.parametrize("categories", [2, 8, 60])
def test_rarity_is_never_too_small_where_counting_equal_draws_is(categories):
    """Categories of Zipf's law: the p-value by rarity is valid, the share of draws equal to the observation is not."""
    rng = np.random.default_rng(categories)
    weights = 1 / np.arange(1, categories + 1)
    draws = rng.choice(categories, (1000, 1 + DRAWS), p=weights / weights.sum()).tolist()
    assert is_never_too_small([rarity_pvalue(row[0], row[1:]) for row in draws])
    equal = [(row[1:].count(row[0]) + 1) / (1 + DRAWS) for row in draws]
    assert not is_never_too_small(equal)


def test_combined_pvalues_of_three_seeds_are_uniform():
    combined = [combine_pvalues(row) for row in np.random.default_rng(2).random((1000, 3))]
    assert is_uniform(combined)
    assert rejects_at_the_nominal_rate(combined, 0.05)


def test_combined_pvalues_on_a_lattice_are_never_too_small(blocks):
    p = pvalues(blocks["concentration"])
    assert is_never_too_small([combine_pvalues(row) for row in p.reshape(-1, 3)])


def test_combined_pvalues_of_shared_data_are_not_uniform():
    """Fisher's method needs independent runs: three checkpoints of one run would count its luck three times."""
    p = np.random.default_rng(3).random(500)
    assert not is_never_too_small([combine_pvalues([q, q, q]) for q in p])


def test_an_edge_on_a_planted_mode_is_found():
    """A direction moved towards one mode of the sum by as much as its own length, and by three times that."""
    null = measure(energies(random_directions(DRAWS, DIM, seed=1).double().numpy()))
    draws = random_directions(200, DIM, seed=2).double().numpy()
    power = []
    for strength in (1, 3):
        edge = draws.copy()
        edge[:, 0] += strength
        measured = measure(energies(edge / np.linalg.norm(edge, axis=1, keepdims=True)))
        p = [NullDistribution(null["share:sum"], "random_directions").pvalue(value) for value in measured["share:sum"]]
        power.append(np.mean(np.array(p) <= 0.05))
    assert power[1] > power[0] + 3 * np.sqrt(2 * 0.25 / 200)
    assert power[1] > 0.95
