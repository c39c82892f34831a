import math

import numpy as np
import pytest

from spectral_edge.statistics import combine_pvalues, mean_interval, proportion_interval


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_has_the_closed_form_of_one_and_two_degrees_of_freedom(level):
    # t with 1 degree of freedom is Cauchy's law; with 2 its quantile is (2q - 1)/√(2q(1 - q)).
    half = math.tan(math.pi * level / 2) * abs(7 - 4) / 2
    assert mean_interval([4.0, 7.0], level) == pytest.approx((5.5 - half, 5.5 + half))
    q = (1 + level) / 2
    half = (2 * q - 1) / math.sqrt(2 * q * (1 - q)) * math.sqrt(7 / 3)  # (1, 2, 6): mean 3, s² = 14/2
    assert mean_interval([1.0, 2.0, 6.0], level) == pytest.approx((3 - half, 3 + half))


def test_three_seeds_have_the_tabled_quantile():
    low, high = mean_interval([-1.0, 0.0, 1.0])
    assert high == pytest.approx(4.303 / math.sqrt(3), abs=5e-4)  # the printed t table: 4.303
    assert low == -high


def test_equal_values_have_an_interval_of_no_width():
    for value in (0.25, 0.1):  # the mean of three 0.1 is not 0.1
        assert mean_interval([value] * 3) == (value, value)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([1.0], 0.95, r"values must have shape \(n,\) with n at least 2, not \(1,\)"),
        ([[1.0, 2.0]], 0.95, r"not \(1, 2\)"),
        ([1.0, float("nan")], 0.95, r"values\[1\] is nan"),
        ([1.0, None], 0.95, r"values\[1\] is nan"),
        ([math.inf, 1.0], 0.95, r"values\[0\] is inf"),
        ([1.0, 2.0], 95, "level = 95 is not between 0 and 1"),
        ([1.0, 2.0], 1.0, "level = 1.0"),
    ],
)
def test_values_without_an_interval_are_refused(values, level, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values, level)


def tail(q, counts, n):
    return sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in counts)


@pytest.mark.parametrize("n", [1, 3, 12])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_proportion_bounds_are_where_a_binomial_tail_is_alpha_half(n, level):
    for k in range(n + 1):
        low, high = proportion_interval(k, n, level)
        if k > 0:
            assert tail(low, range(k, n + 1), n) == pytest.approx((1 - level) / 2)
        if k < n:
            assert tail(high, range(k + 1), n) == pytest.approx((1 - level) / 2)
    assert proportion_interval(0, n, level) == pytest.approx((0, 1 - ((1 - level) / 2) ** (1 / n)))
    assert proportion_interval(n, n, level) == pytest.approx((((1 - level) / 2) ** (1 / n), 1))


@pytest.mark.parametrize(
    ("successes", "n", "level", "message"),
    [
        (0, 0, 0.95, "n = 0 trials"),
        (4, 3, 0.95, "successes = 4 is not in 0 … n = 3"),
        (-1, 3, 0.95, "successes = -1"),
        (1, 3, 0.0, "level = 0.0"),
    ],
)
def test_impossible_counts_are_refused(successes, n, level, message):
    with pytest.raises(ValueError, match=message):
        proportion_interval(successes, n, level)
    with pytest.raises(TypeError):
        proportion_interval(0.5, 3)


@pytest.mark.parametrize("pvalues", [[0.03, 0.4], [0.01, 0.01, 0.01], [0.5, 0.9, 1.0, 0.2]])
def test_fisher_combination_has_its_closed_form(pvalues):
    """P(product of m uniforms <= q) = q Σ_{i<m} (-ln q)^i/i!."""
    q = math.prod(pvalues)
    expected = q * sum((-math.log(q)) ** i / math.factorial(i) for i in range(len(pvalues)))
    assert combine_pvalues(pvalues) == pytest.approx(expected)
    assert combine_pvalues(pvalues[::-1]) == pytest.approx(expected)


def test_combining_at_the_ends():
    assert combine_pvalues([0.1 + 0.2]) == 0.1 + 0.2  # as it is, to the last bit
    assert combine_pvalues([1.0, 1.0, 1.0]) == 1
    assert combine_pvalues([1e-300] * 3) == np.finfo(float).tiny  # 1e-900 is no float; 0 would be no p-value


@pytest.mark.parametrize(
    ("pvalues", "message"),
    [
        ([], "n at least 1"),
        ([0.5, 0.0], r"pvalues\[1\] is 0.0, not in \(0, 1\]"),
        ([1.5], r"pvalues\[0\] is 1.5"),
        ([-0.1, 0.2], r"pvalues\[0\] is -0.1"),
        ([0.5, None], r"pvalues\[1\] is nan"),
    ],
)
def test_what_is_no_pvalue_is_not_combined(pvalues, message):
    with pytest.raises(ValueError, match=message):
        combine_pvalues(pvalues)
