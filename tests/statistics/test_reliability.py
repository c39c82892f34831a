import itertools

import numpy as np
import pytest

from spectral_edge.statistics import intraclass_correlation, matching_pairs, regrouped

# Six targets, four judges: the worked example of Shrout and Fleiss (1979), table 2; they print ICC(1, 1) = .17.
JUDGED = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_published_example():
    groups = np.repeat(np.arange(6), 4).tolist()
    assert intraclass_correlation(np.ravel(JUDGED), groups) == pytest.approx(0.17, abs=0.005)


def test_unequal_groups_by_hand():
    """Means 1 and 4 about 2: B = 2·1 + 1·4 = 6, W = 2, m = 3 - 5/3 = 4/3, so (6 - 2)/(6 + 2/3) = 0.6."""
    assert intraclass_correlation([0.0, 2.0, 4.0], ["a", "a", "b"]) == pytest.approx(0.6)


def test_the_order_of_members_and_the_names_do_not_count():
    values, groups = np.array([1.0, 4.0, 2.0, 8.0, 3.0]), np.array([0, 1, 0, 1, 1])
    order = [4, 2, 0, 3, 1]
    expected = intraclass_correlation(values, groups.tolist())
    assert intraclass_correlation(values[order], [("x", g) for g in groups[order]]) == pytest.approx(expected)


def test_it_estimates_the_share_of_variance_between_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4000), 3)
    values = np.sqrt(0.7) * rng.standard_normal(4000)[groups] + np.sqrt(0.3) * rng.standard_normal(12_000)
    assert intraclass_correlation(values, groups.tolist()) == pytest.approx(0.7, abs=0.02)


def test_values_that_are_all_equal_have_no_variance_to_share():
    assert np.isnan(intraclass_correlation([2.0] * 4, [0, 0, 1, 1]))


@pytest.mark.parametrize("width", [None, 3])
def test_matching_pairs_are_those_of_the_slow_twin(width):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (9,) if width is None else (9, width))
    groups = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    counted = {True: [], False: []}
    for i, j in itertools.combinations(range(9), 2):
        for left, right in zip(np.atleast_1d(labels[i]), np.atleast_1d(labels[j]), strict=True):
            counted[groups[i] == groups[j]].append(left == right)
    assert matching_pairs(labels, groups) == pytest.approx((np.mean(counted[True]), np.mean(counted[False])))


def test_the_null_holds_every_grouping_of_the_same_sizes():
    """Two pairs can be formed of four members in three ways, each as likely."""
    seen = regrouped(lambda g: float(next(i for i in range(1, 4) if g[i] == g[0])), ["a", "a", "b", "b"], 3000, seed=0)
    assert seen.kind == "regrouped"
    values, counts = np.unique(seen.samples, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert abs(counts - 1000).max() < 120  # 4 standard deviations


def test_p_is_uniform_where_groups_say_nothing():
    rng = np.random.default_rng(2)
    groups = np.repeat([0, 1, 2], 5).tolist()
    pvalues = []
    for seed in range(300):
        values = rng.standard_normal(15)
        null = regrouped(lambda g, v=values: intraclass_correlation(v, g), groups, 99, seed)
        pvalues.append(null.pvalue(intraclass_correlation(values, groups)))
    for level in (0.1, 0.5, 0.9):
        assert np.mean(np.array(pvalues) <= level) == pytest.approx(level, abs=0.09)  # 3 standard deviations at 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intraclass_correlation([1.0, 2.0], ["a"]), "2 values and 1 names"),
        (lambda: intraclass_correlation([1.0, 2.0], ["a", "a"]), "at least 2 groups"),
        (lambda: matching_pairs([1, 2], ["a", "b"]), "2 members in one"),
        (lambda: intraclass_correlation([1.0, np.nan, 1.0], ["a", "a", "b"]), r"values\[1\] is nan"),
        (lambda: regrouped(lambda g: 0.0, ["a", "b"], 0, 0), "draws = 0"),
        (lambda: regrouped(lambda g: 0.0, ["a", "b"], 1, -1), "seed = -1"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
