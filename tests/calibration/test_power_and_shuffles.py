"""A planted mode of stated strength is found with stated power; shuffled inputs show no structure in any statistic."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from spectral_edge.bases import character_spectrum, grouping, operation, to_grid
from spectral_edge.representation import RidgeProbe, cross_term_features, cross_term_sets
from spectral_edge.statistics import NullDistribution, fourier_profile
from support.uniformity import is_uniform, rejects_at_the_nominal_rate

P = 11
PAIRS = operation("add").pairs(P)
N, FREQUENCIES = len(PAIRS), P // 2
SUM = grouping("sum", P)(PAIRS)
LEVEL = 0.05


def critical_concentration():
    """The F with P(F > c) = LEVEL in white noise: Fisher's g test, Σ_j (-1)^(j-1) C(n, j) (1 - jc)^(n-1)."""

    def exceeded(c):
        terms = range(1, math.floor(1 / c) + 1)
        return sum((-1) ** (j - 1) * math.comb(FREQUENCIES, j) * (1 - j * c) ** (FREQUENCIES - 1) for j in terms)

    return optimize.brentq(lambda c: exceeded(c) - LEVEL, 1 / FREQUENCIES + 1e-9, 1 - 1e-9)


def power_of_concentration(noncentrality):
    """P(the planted frequency alone exceeds the critical share): its power is χ²_2(λ), the others' sum χ²_{2(n-1)}.

    A lower bound of the power, since another frequency may exceed it too.
    """
    c, others = critical_concentration(), FREQUENCIES - 1
    return stats.ncf.sf(others * c / (1 - c), 2, 2 * others, noncentrality)


def permutation_pvalues(values, n, seed):
    """Of the concentration, whole groups exchanged."""
    names = np.random.default_rng(seed).permuted(np.tile(np.arange(P), (n, 1)), axis=1)
    profiles = [fourier_profile(row, SUM, P) for row in values]
    nulls = [NullDistribution(profile.renamed(names).concentration, "input_permutation") for profile in profiles]
    return np.array([null.pvalue(p.concentration[0]) for null, p in zip(nulls, profiles, strict=True)])


def test_a_planted_mode_is_found_with_the_power_of_the_closed_form():
    functions = 300
    found = []
    for stated in (0.3, 0.6, 0.9):
        noncentrality = optimize.brentq(lambda x, stated=stated: power_of_concentration(x) - stated, 1e-3, 500)
        amplitude = math.sqrt(2 * noncentrality / N)
        noise = np.random.default_rng(5).standard_normal((functions, N))
        p = permutation_pvalues(noise + amplitude * np.cos(2 * np.pi * 4 * SUM / P), n=299, seed=6)
        found.append(np.mean(p <= LEVEL))
        assert found[-1] >= stated - 3 * math.sqrt(stated * (1 - stated) / functions)
        assert found[-1] <= stated + 0.1  # nor does it find what is not there: the closed form is nearly the power
    assert found[0] < found[1] < found[2]


def structured(k, seed):
    """Functions with a strong mode of the sum, one of the difference, main effects and heavy-tailed noise."""
    rng = np.random.default_rng(seed)
    a, b = PAIRS.T
    modes = np.cos(2 * np.pi * 4 * (a + b) / P) + np.cos(2 * np.pi * 2 * (a - b) / P) + 0.5 * (a == 3) + 0.5 * (b == 5)
    return 2 * modes + 0.3 * rng.standard_t(3, (k, N))


def all_statistics(functions):
    profile = fourier_profile(functions, SUM, P)
    shares = character_spectrum(to_grid(functions, PAIRS, P)).shares
    return {
        "concentration": profile.concentration,
        "variance_share": profile.variance_share,
        **{f"share:{line}": share for line, share in shares.items()},
    }


STATISTICS = ("concentration", "variance_share", *(f"share:{s}" for s in ("main_a", "main_b", "sum", "difference")))


@pytest.fixture(scope="module")
def shuffles():
    """Statistics of 500 functions, each as it is, shuffled once to be measured, and shuffled 99 times as its null."""
    functions = structured(500, seed=8)
    rng = np.random.default_rng(9)
    kept = [all_statistics(rng.permuted(np.tile(f, (100, 1)), axis=1)) for f in functions]
    return all_statistics(functions), {name: np.array([part[name] for part in kept]) for name in kept[0]}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_shuffled_inputs_show_nothing_above_the_nominal_level(shuffles, statistic):
    as_it_is, shuffled = shuffles[0][statistic], shuffles[1][statistic]
    nulls = [NullDistribution(row[1:], "input_permutation") for row in shuffled]
    p = np.array([null.pvalue(row[0]) for null, row in zip(nulls, shuffled, strict=True)])
    assert is_uniform(p)
    assert rejects_at_the_nominal_rate(p, 0.05)
    if statistic in ("variance_share", "share:sum", "share:difference"):  # not blind: unshuffled, nearly all are found
        assert np.mean([null.pvalue(f) <= 0.05 for null, f in zip(nulls, as_it_is, strict=True)]) > 0.95


def test_shuffled_shares_are_in_proportion_to_their_characters(shuffles):
    """Shuffling makes all M² - 1 characters equally strong on average, whatever the values: a closed form."""
    lines = dict.fromkeys(("main_a", "main_b", "sum", "difference"), P - 1) | {"other": (P - 1) * (P - 3)}
    for line, characters in lines.items():
        means = shuffles[1][f"share:{line}"].mean(axis=1)  # one of each function: these are independent
        assert abs(means.mean() - characters / (N - 1)) < 4 * means.std() / math.sqrt(len(means))
    means = shuffles[1]["variance_share"].mean(axis=1)
    assert abs(means.mean() - (P - 1) / (N - 1)) < 4 * means.std() / math.sqrt(len(means))


def test_shuffled_responses_have_only_the_r2_of_as_many_random_features():
    """Shuffled, E[R²] = Σ_i (2d_i - d_i²)/(N - 1), d_i = s_i²/(s_i² + α): large, and no sign of structure."""
    pairs = PAIRS[(PAIRS != 0).all(axis=1)]
    features = cross_term_features(pairs, P)[:, cross_term_sets(P)["add"]]
    squared = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2
    shrink = squared / (squared + 1)
    rng = np.random.default_rng(0)
    planted = np.cos(2 * np.pi * 3 * pairs.sum(axis=1) / P)[:, None] * rng.standard_normal(4)
    response = planted + 0.2 * rng.standard_normal((len(pairs), 4))
    shuffled = np.array([rng.permutation(response) for _ in range(600)])
    probe = RidgeProbe(features, alpha=1.0, folds=np.arange(len(pairs)) % 5)
    fit, as_it_is = probe.r2(shuffled), probe.r2(response[None])
    r2 = fit.in_sample[0]
    assert abs(r2.mean() - (2 * shrink - shrink**2).sum() / (len(pairs) - 1)) < 4 * r2.std() / math.sqrt(600)
    assert as_it_is.in_sample[0, 0] > r2.max()
    assert fit.cross_validated[0].mean() < 0  # held out, noise is worse than no features
    assert as_it_is.cross_validated[0, 0] > 0.5
