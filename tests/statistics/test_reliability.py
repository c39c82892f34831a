import itertools

import numpy as np
import pytest

from spectral_edge.statistics import intraclass_correlation, intraclass_interval, within_and_between

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


@pytest.mark.parametrize("value", [2.0, 0.1 + 0.2])
def test_values_that_are_all_equal_have_no_variance_to_share(value):
    assert np.isnan(intraclass_correlation([value] * 5, [0, 0, 1, 1, 1]))
    assert np.isnan(intraclass_interval([value] * 5, [0, 0, 1, 1, 1])).all()


def test_the_published_interval():
    """The same example: F = 1.79 on 5 and 18 degrees of freedom; printed by R's psych::ICC as -0.13 to 0.72."""
    groups = np.repeat(np.arange(6), 4).tolist()
    assert intraclass_interval(np.ravel(JUDGED), groups) == pytest.approx((-0.13, 0.72), abs=0.01)


def test_intervals_cover():
    rng = np.random.default_rng(3)
    groups = np.repeat([0, 1, 2], 5).tolist()
    covered = 0
    for _ in range(1000):
        values = np.sqrt(0.4) * rng.standard_normal(3)[groups] + np.sqrt(0.6) * rng.standard_normal(15)
        low, high = intraclass_interval(values, groups, level=0.8)
        covered += low <= 0.4 <= high
    assert covered / 1000 == pytest.approx(0.8, abs=0.04)  # 3 standard deviations


def test_means_of_pairs_are_those_of_the_slow_twin():
    rng = np.random.default_rng(1)
    similarity = rng.uniform(size=(9, 9))
    similarity += similarity.T
    groups = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    found = {True: [], False: []}
    for i, j in itertools.combinations(range(9), 2):
        found[groups[i] == groups[j]].append(similarity[i, j])
    assert within_and_between(similarity, groups) == pytest.approx((np.mean(found[True]), np.mean(found[False])))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intraclass_correlation([1.0, 2.0], ["a"]), "2 values and 1 names"),
        (lambda: intraclass_correlation([1.0, 2.0], ["a", "a"]), "at least 2 groups"),
        (lambda: within_and_between(np.eye(2), ["a", "b"]), "2 members in one"),
        (lambda: within_and_between(np.ones((3, 2)), ["a", "a", "b"]), r"\(3, 2\)"),
        (lambda: intraclass_interval([1.0, 2.0, 3.0], ["a", "a", "b"], level=1), "level = 1"),
        (lambda: intraclass_correlation([1.0, np.nan, 1.0], ["a", "a", "b"]), r"values\[1\] is nan"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_missing_diagonal_is_not_looked_at_and_a_missing_pair_is_named():
    similarity = np.ones((4, 4))
    np.fill_diagonal(similarity, np.nan)
    assert within_and_between(similarity, ["a", "a", "b", "b"]) == (1.0, 1.0)
    similarity[1, 2] = np.nan
    with pytest.raises(ValueError, match="members 1 and 2"):
        within_and_between(similarity, ["a", "a", "b", "b"])
