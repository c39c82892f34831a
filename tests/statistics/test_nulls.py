import itertools

import numpy as np
import pytest
import torch

from spectral_edge.statistics import (
    NullDistribution,
    adjust,
    fourier_profile,
    random_directions,
    rarity_pvalue,
    regrouped,
)


def test_random_directions_are_unit_float32_rows():
    directions = random_directions(20, 4096, seed=1)
    assert directions.shape == (20, 4096)
    assert directions.dtype == torch.float32
    torch.testing.assert_close(directions.double().norm(dim=1), torch.ones(20).double(), atol=1e-6, rtol=0)


def test_a_longer_list_of_directions_extends_a_shorter_one():
    torch.testing.assert_close(random_directions(9, 50, seed=3)[:4], random_directions(4, 50, seed=3), atol=0, rtol=0)


def test_directions_differ_between_rows_and_seeds():
    rows = torch.cat([random_directions(4, 10_000, seed) for seed in (0, 1, 2**32)])
    cosines = rows @ rows.T - torch.eye(12)
    assert cosines.abs().max() < 6 / 10_000**0.5  # each is N(0, 1/dim)


@pytest.mark.parametrize(
    ("n", "dim", "seed", "message"),
    [(0, 5, 0, "n = 0 draws"), (2, 0, 0, "dim = 0"), (2, 5, -1, "seed = -1")],
)
def test_impossible_directions_are_refused(n, dim, seed, message):
    with pytest.raises(ValueError, match=message):
        random_directions(n, dim, seed)


LABELS = np.repeat(np.arange(-1, 7), 6)
VALUES = np.random.default_rng(0).standard_normal((3, 48))


NULL = NullDistribution([1.0, 2.0, 3.0, 3.0], "random_directions")


@pytest.mark.parametrize(
    ("measured", "alternative", "expected"),
    [
        (3, "greater", 3 / 5),
        (3.1, "greater", 1 / 5),
        (0, "greater", 1),
        (1, "less", 2 / 5),
        (0, "less", 1 / 5),
    ],
)
def test_pvalue_counts_ties_and_the_measurement_itself(measured, alternative, expected):
    assert NULL.pvalue(measured, alternative) == pytest.approx(expected)


def test_null_summaries():
    assert (NULL.n, NULL.mean) == (4, 2.25)
    assert NULL.std == pytest.approx(np.sqrt((1.25**2 + 0.25**2 + 2 * 0.75**2) / 4))
    assert NullDistribution(np.arange(101.0), "x").quantile95 == 95
    assert repr(NULL) == "NullDistribution(random_directions, n=4, 2.25 ± 0.829)"


def test_a_null_keeps_its_own_copy_of_the_samples():
    samples = np.arange(3.0)
    null = NullDistribution(samples, "x")
    samples[0] = 99
    assert null.samples[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        null.samples[0] = 1


@pytest.mark.parametrize(
    ("samples", "message"),
    [([], "n at least 1"), ([[1.0]], r"not \(1, 1\)"), ([1.0, np.nan], r"samples\[1\] of the x null is nan")],
)
def test_a_null_without_finite_draws_is_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        NullDistribution(samples, "x")


def test_a_measurement_or_direction_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="measured = nan"):
        NULL.pvalue(float("nan"))
    with pytest.raises(ValueError, match="alternative = 'two-sided'"):
        NULL.pvalue(1.0, "two-sided")


def test_adjust_is_benjamini_hochberg():
    # min over j >= i of m p_(j)/j, by hand: 0.04, 0.06, 4/3 · 0.04 -> 0.0533, 0.5.
    np.testing.assert_allclose(adjust([0.5, 0.01, 0.04, 0.03]), [0.5, 0.04, 0.16 / 3, 0.16 / 3])
    assert adjust([0.2]).tolist() == [0.2]
    assert adjust([]).tolist() == []


@pytest.mark.parametrize("pvalue", [None, float("nan"), 1.5, -0.1])
def test_adjust_refuses_what_is_no_pvalue(pvalue):
    with pytest.raises(ValueError, match=r"pvalues\[1\] is .*, not a number in \[0, 1\]"):
        adjust([0.5, pvalue])


def test_adjust_takes_one_table():
    with pytest.raises(ValueError, match="one table at a time"):
        adjust([[0.5, 0.1]])


def test_permuted_peaks_are_spread_over_all_frequencies():
    labels = np.arange(700) % 7
    profile = fourier_profile(np.cos(2 * np.pi * 2 * labels / 7), labels, 7)
    names = np.random.default_rng(0).permuted(np.tile(np.arange(7), (300, 1)), axis=1)
    counts = np.bincount(profile.renamed(names).peak, minlength=4)[1:]
    assert counts.sum() == 300
    assert (np.abs(counts - 100) < 4 * np.sqrt(300 * 2 / 9)).all()


def test_rarity_pvalue_is_uniform_or_above_when_the_observation_is_one_more_draw():
    rng = np.random.default_rng(0)
    for categories in (2, 10, 1000):  # few, some, and nearly all different
        p = [rarity_pvalue(draws[0], draws[1:]) for draws in rng.integers(0, categories, (400, 41)).tolist()]
        for level in (0.05, 0.2, 0.5):
            assert np.mean(np.array(p) <= level) <= level + 3 * np.sqrt(level / 400)
    assert rarity_pvalue("rare", ["common"] * 99) == pytest.approx(1 / 100)
    with pytest.raises(ValueError, match="no null draws"):
        rarity_pvalue(1, [])


def test_random_groupings_are_all_of_the_same_sizes_alike():
    """Two pairs can be formed of four members in three ways."""
    partner = regrouped(lambda g: float(next(i for i in range(1, 4) if g[i] == g[0])), ["a", "a", "b", "b"], 3000, 0)
    assert partner.kind == "regrouped"
    values, counts = np.unique(partner.samples, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert abs(counts - 1000).max() < 104  # 4 standard deviations
    assert regrouped(lambda g: float(g[0] == "a"), ["a", "b"], 5, 0).samples.tolist() == (
        regrouped(lambda g: float(g[0] == "a"), ["a", "b"], 9, 0).samples[:5].tolist()
    )


def test_p_of_a_grouping_is_uniform_where_groups_say_nothing():
    rng = np.random.default_rng(2)
    groups = np.repeat([0, 1, 2], 5).tolist()
    pvalues = []
    for seed in range(400):
        values = rng.standard_normal(15)
        spread = lambda g, v=values: float(np.var([v[np.array(g) == k].mean() for k in range(3)]))  # noqa: E731
        pvalues.append(regrouped(spread, groups, 99, seed).pvalue(spread(groups)))
    for level in (0.1, 0.5, 0.9):
        expected = 3 * np.sqrt(level * (1 - level) / 400)
        assert np.mean(np.array(pvalues) <= level) == pytest.approx(level, abs=expected)


def test_a_grouping_needs_a_draw_and_a_seed():
    for draws, seed, words in ((0, 0, "n = 0"), (1, -1, "seed = -1")):
        with pytest.raises(ValueError, match=words):
            regrouped(lambda g: 0.0, ["a", "b"], draws, seed)


def test_draws_that_are_equal_but_for_rounding_are_ties():
    """F is the same under q → uq + c, so that 8 of the 24 permutations of four groups are ties of the labels given."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    f = rng.standard_normal(400)

    def concentration(q):
        return fourier_profile(f[None], q, 4).concentration[0]

    exact = [concentration(np.array(order)[labels]) for order in itertools.permutations(range(4))]
    measured = concentration(labels)
    shaken = np.array(exact) * (1 + 1e-12 * rng.standard_normal(24))
    expected = (sum(value > measured - 1e-6 for value in exact) + 1) / 25
    assert sum(abs(value - measured) < 1e-6 for value in exact) == 8
    assert NullDistribution(shaken, "inputs").pvalue(measured) == pytest.approx(expected)


def test_a_difference_of_equal_means_is_0_in_whatever_order_it_was_summed():
    """Means of three of eight shares less means of the others: 0 comes out as ±1e-17 and is counted with the zeros."""
    shares = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.2, 0.2])
    samples = [
        shares[list(members)].mean() - np.delete(shares, list(members)).mean()
        for members in itertools.combinations(range(8), 3)
    ]
    tenths = [1, 2, 3, 1, 2, 3, 2, 2]  # a mean of three equals that of the other five if they sum to 6 of 16
    above = sum(sum(members) >= 6 for members in itertools.combinations(tenths, 3))
    null = NullDistribution(samples, "splits")
    for measured in (0.0, 1.4e-17, -1.4e-17):
        assert null.pvalue(measured) == (above + 1) / 57


def test_one_huge_draw_does_not_make_ties_of_the_others():
    null = NullDistribution([1.0, 2.0, 3.0, 1e12], "x")
    assert null.pvalue(2.5) == 3 / 5
