"""Statistics over runs: p-values uniform under their null, intervals that cover, and naive versions that do not."""

import math

import numpy as np
import pytest
from scipy import signal, stats

from spectral_edge.statistics import (
    NullDistribution,
    auc_interval,
    circular_shift_pvalue,
    mean_interval,
    proportion_interval,
    rank_correlation,
)
from support.uniformity import is_never_too_small, is_uniform, rejects_at_the_nominal_rate


def autoregressive(rng, n, coefficient, runs):
    """Pairs of unrelated stationary AR(1) series, x_t = φ x_{t-1} + noise: (runs, 2, n)."""
    noise = rng.standard_normal((runs, 2, n))
    noise[..., 0] /= math.sqrt(1 - coefficient**2)
    return signal.lfilter([1], [1, -coefficient], noise, axis=-1)


def autoregressive_on_a_circle(rng, n, coefficient, runs):
    """The same with x_{-1} = x_{n-1}: the series for which a shift is an exact symmetry."""
    gain = 1 / np.abs(1 - coefficient * np.exp(2j * np.pi * np.fft.rfftfreq(n)))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal((runs, 2, n))) * gain, n)


def shift_pvalues(pairs):
    found = [circular_shift_pvalue(x, y) for x, y in pairs]
    return np.array([null.pvalue(rho) for rho, null in found])


@pytest.mark.parametrize("series", [autoregressive, autoregressive_on_a_circle])
def test_circular_shift_pvalues_of_unrelated_series_are_uniform(series):
    p = shift_pvalues(series(np.random.default_rng(1), 100, 0.8, 1000))
    assert is_uniform(p)
    assert rejects_at_the_nominal_rate(p, 0.05)


def test_permuting_the_times_of_unrelated_series_is_not_calibrated():
    """The naive null: steps are not exchangeable, so it finds a correlation several times too often."""
    rng = np.random.default_rng(1)
    p = []
    for x, y in autoregressive(rng, 100, 0.8, 500):
        ranks = np.tile(stats.zscore(stats.rankdata(y)), (99, 1))
        null = NullDistribution(rng.permuted(ranks, axis=1) @ stats.zscore(stats.rankdata(x)) / 100, "permuted times")
        p.append(null.pvalue(rank_correlation(x, y)))
    assert not is_never_too_small(p)
    assert not rejects_at_the_nominal_rate(p, 0.05)
    assert np.mean(np.array(p) <= 0.05) > 3 * 0.05


def test_leaving_near_shifts_out_is_not_calibrated():
    """The usual remedy against loss of power makes p too small: the docstring says why all shifts are kept."""
    p = []
    for x, y in autoregressive_on_a_circle(np.random.default_rng(2), 150, 0.9, 500):
        rho, null = circular_shift_pvalue(x, y)
        p.append(NullDistribution(null.samples[29:-29], "far_shifts").pvalue(rho))
    assert np.mean(np.array(p) <= 0.05) > 0.05 + 4 * math.sqrt(0.05 * 0.95 / 500)


def test_random_walks_have_no_calibrated_shift_but_their_increments_do():
    steps = np.random.default_rng(3).standard_normal((500, 2, 60))
    assert not rejects_at_the_nominal_rate(shift_pvalues(steps.cumsum(axis=-1)), 0.05)
    increments = shift_pvalues(steps)
    assert is_uniform(increments)
    assert rejects_at_the_nominal_rate(increments, 0.05)


def test_a_shared_course_is_found():
    """Half of each series' variance is shared: found in most of the pairs, in more the longer they are."""
    found = []
    for n in (40, 160):
        rng = np.random.default_rng(n)
        own, shared = (autoregressive(rng, n, 0.5, 200) for _ in range(2))
        found.append(np.mean(shift_pvalues(own + shared[:, :1]) <= 0.05))
    assert found[0] > 0.5
    assert found[1] > 0.95


def covers(intervals, truth):
    low, high = np.array(intervals).T
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_of_three_seeds_covers_at_its_level(level):
    values = 4 + 2 * np.random.default_rng(0).standard_normal((2000, 3))
    error = math.sqrt(level * (1 - level) / 2000)
    assert abs(covers([mean_interval(row, level) for row in values], 4) - level) < 3 * error
    # With the normal quantile in place of Student's it would be an interval of far lower level.
    half = stats.norm.ppf((1 + level) / 2) * values.std(axis=1, ddof=1) / math.sqrt(3)
    mean = values.mean(axis=1)
    assert covers(np.stack([mean - half, mean + half], axis=1), 4) < level - 10 * error


@pytest.mark.parametrize("n", [3, 12, 36])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_exact_interval_covers_at_least_its_level_for_every_probability(n, level):
    """Coverage summed over all outcomes, not simulated; each end fails with no more than half the rest."""
    low, high = np.array([proportion_interval(k, n, level) for k in range(n + 1)]).T
    q = np.linspace(0, 1, 401)[:, None]
    weight = stats.binom.pmf(np.arange(n + 1), n, q)
    missed_above, missed_below = ((weight * miss).sum(axis=1) for miss in (low > q + 1e-12, high < q - 1e-12))
    assert missed_above.max() <= (1 - level) / 2 + 1e-12
    assert missed_below.max() <= (1 - level) / 2 + 1e-12


@pytest.mark.parametrize(("m", "n"), [(5, 5), (12, 24)])
@pytest.mark.parametrize("area", [0.5, 0.8, 0.95])
def test_the_interval_of_an_area_covers_nearly_at_its_level(m, n, area):
    """Binormal scores: 0.93 to 0.98 as stated; near 1 the lower bound is exceeded no more than one time in 40."""
    rng = np.random.default_rng((m, int(100 * area)))
    positive = rng.standard_normal((1000, m)) + math.sqrt(2) * stats.norm.ppf(area)
    found = np.array([auc_interval(x, y) for x, y in zip(positive, rng.standard_normal((1000, n)), strict=True)])
    error = math.sqrt(0.95 * 0.05 / 1000)
    assert 0.93 - 3 * error < covers(found, area) < 0.98 + 3 * error
    if area > 0.5:
        assert np.mean(found[:, 0] > area) <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 1000)
