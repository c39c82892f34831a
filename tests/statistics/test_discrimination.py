import math

import numpy as np
import pytest
from scipy import stats

from oracles.ranks import area, hanley_mcneil_variance
from spectral_edge.statistics import auc, auc_interval, roc_curve


def samples(seed, ties):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 7, 2)
    draw = rng.integers(0, 4, m + n).astype(float) if ties else rng.standard_normal(m + n)
    return draw[:m], draw[m:]


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_the_share_of_pairs_and_that_under_the_curve(ties):
    for seed in range(30):
        positive, negative = samples(seed, ties)
        expected = area(positive.tolist(), negative.tolist())
        assert auc(positive, negative) == pytest.approx(expected)
        assert np.trapezoid(*roc_curve(positive, negative)[::-1]) == pytest.approx(expected)
        assert auc(negative, positive) == pytest.approx(1 - expected)


def test_the_curve_by_hand():
    false_positive, true_positive = roc_curve([5.0, 3, 3], [4.0, 3, 1, 1])
    # Thresholds 5, 4, 3, 1: the shared 3 is one diagonal step, to the right by 1/4 and up by 2/3.
    np.testing.assert_allclose(false_positive, [0, 0, 1 / 4, 2 / 4, 1])
    np.testing.assert_allclose(true_positive, [0, 1 / 3, 1 / 3, 1, 1])


def test_a_curve_of_equal_values_is_the_diagonal():
    np.testing.assert_array_equal(roc_curve([2.0] * 3, [2.0] * 5), [[0, 1], [0, 1]])
    assert auc([2.0] * 3, [2.0] * 5) == 0.5


def test_curves_run_from_corner_to_corner():
    for seed in range(10):
        for rate in roc_curve(*samples(seed, ties=bool(seed % 2))):
            assert (rate[0], rate[-1]) == (0, 1)
            assert (np.diff(rate) >= 0).all()


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 9), (12, 24)])
def test_interval_bounds_solve_the_score_equation(m, n):
    """|Â - A| = z √V(A), V in the form of Hanley and McNeil with both sizes at their mean in the bracket."""
    rng = np.random.default_rng(m)
    for shift in (0, 1, 3, 100):
        positive, negative = rng.standard_normal(m) + shift, rng.standard_normal(n)
        measured = area(positive, negative)
        low, high = auc_interval(positive, negative, 0.9)
        mean = (m + n) / 2
        for bound in {low, high} - {0.0, 1.0}:
            variance = hanley_mcneil_variance(bound, mean, mean) * mean**2 / (m * n)
            assert abs(measured - bound) == pytest.approx(stats.norm.ppf(0.95) * math.sqrt(variance), rel=1e-6)
        assert 0 <= low <= measured <= high <= 1
        assert (high == 1) == (measured == 1)
        assert low < measured  # never [1, 1]
        assert auc_interval(negative, positive, 0.9) == pytest.approx((1 - high, 1 - low))


def test_one_against_one_has_wilson_s_interval():
    """With m = n = 1, V(A) = A(1 - A): the score interval of a proportion in one trial, [1/(1 + z²), 1]."""
    z = stats.norm.ppf(0.975)
    assert auc_interval([2.0], [1.0]) == pytest.approx((1 / (1 + z**2), 1))
    half = z / math.sqrt(1 + z**2) / 2  # of k = 1/2 in one trial
    assert auc_interval([1.0], [1.0]) == pytest.approx((0.5 - half, 0.5 + half))


def test_a_perfect_area_is_known_better_from_more_runs():
    lows = [auc_interval(np.arange(n) + 1e6, np.arange(n))[0] for n in (2, 4, 12, 100, 5000)]
    assert (np.diff(lows) > 0).all()
    assert lows[0] < 0.5
    assert lows[-1] > 0.999


def test_bounds_of_levels_near_0_and_1_are_finite():
    low, high = auc_interval([5.0, 6, 7], [1.0, 2, 3], 1e-5)
    assert 1 - 1e-6 < low <= high == 1
    assert auc_interval([5.0, 1], [2.0, 3], 1 - 1e-16) == (0, 1)


@pytest.mark.parametrize("statistic", [roc_curve, auc, auc_interval])
def test_bad_samples_are_named(statistic):
    with pytest.raises(ValueError, match=r"positive must have shape \(n,\) with n at least 1, not \(0,\)"):
        statistic([], [1.0])
    with pytest.raises(ValueError, match=r"negative\[1\] is nan"):
        statistic([1.0], [0.0, float("nan")])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="level = 0 is not between"):
        auc_interval([1.0], [0.0], level=0)
