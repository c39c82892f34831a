import numpy as np
import pytest

from oracles.ranks import spearman
from spectral_edge.statistics import circular_shift_pvalue, rank_correlation


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_matches_the_slow_twin(ties):
    rng = np.random.default_rng(0)
    for n in (2, 3, 8, 20):
        x, y = rng.permuted(np.tile(np.arange(n) // (1 + ties), (2, 1)), axis=1)
        if np.ptp(x) > 0:
            assert rank_correlation(x, y) == pytest.approx(spearman(x.tolist(), y.tolist()))


def test_rank_correlation_without_ties_is_spearman_s_formula():
    """1 - 6 Σd²/(n(n² - 1)): of 1 2 3 4 5 and 2 1 4 3 5 the squared differences add up to 4."""
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_only_the_order_counts():
    x = np.linspace(-3, 3, 17)
    assert rank_correlation(x, np.exp(x)) == 1
    assert rank_correlation(x, -(x**3)) == -1


@pytest.mark.parametrize("ties", [False, True])
def test_the_null_is_every_shift_but_none(ties):
    rng = np.random.default_rng(int(ties))
    x, y = rng.integers(0, 4, (2, 13)).astype(float) if ties else rng.standard_normal((2, 13))
    rho, null = circular_shift_pvalue(x, y)
    assert rho == pytest.approx(spearman(x.tolist(), y.tolist()))
    expected = [spearman(x.tolist(), np.roll(y, s).tolist()) for s in range(1, 13)]
    np.testing.assert_allclose(null.samples, expected)
    assert null.kind == "circular_shift"
    larger = sum(e >= rho - 1e-9 for e in expected)
    assert null.pvalue(rho) == pytest.approx((larger + 1) / 13)


def test_equal_correlations_count_as_equal():
    """A series of period 4: every fourth shift gives the measured correlation again, to the last bit."""
    x, y = np.tile([0.1, 0.7, 0.3, 0.2], 25), np.tile([1.1, 5.7, 3.3, 0.4], 25)
    rho, null = circular_shift_pvalue(x, y)
    assert (null.samples == rho).sum() == 24
    assert null.pvalue(rho) == 25 / 100


def test_two_trends_always_agree():
    """The limit that the docstring states: the smallest p there is, whatever the series have to do with each other."""
    rho, null = circular_shift_pvalue(np.arange(50.0) ** 2, np.log(np.arange(1.0, 51)))
    assert rho == 1
    assert null.pvalue(rho) == 1 / 50


@pytest.mark.parametrize("statistic", [rank_correlation, circular_shift_pvalue])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], r"x\[1\] is nan"),
        ([1.0, 2.0], [np.inf, 2.0], r"y\[0\] is inf"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "x has 2 values and y has 3"),
        ([1.0], [2.0], "x must have shape .* at least 2"),
        ([1.0, 2.0], [3.0, 3.0], "all values of y are 3.0"),
    ],
)
def test_series_without_a_correlation_are_named(statistic, x, y, message):
    with pytest.raises(ValueError, match=message):
        statistic(x, y)
