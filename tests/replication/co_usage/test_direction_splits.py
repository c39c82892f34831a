from itertools import combinations
from math import comb

import numpy as np
import pytest

from spectral_edge.replication.co_usage.direction_splits import DirectionSplits, Split

SIDES = ("greater", "less", "greater")


def test_names():
    assert (Split(3, 8).above, Split(3, 8).below) == ("v1..v3", "v4..v8")
    assert (Split(2, 8, "k*").above, Split(2, 8, "k*").below) == ("v1..vk*", "vk*+1..v8")


def test_means_of_planted_values():
    random = np.random.default_rng(0).uniform(size=40)
    values = np.concatenate([[9, 8, 7, -5, -6], random])
    found = DirectionSplits(5, 40, seed=0).means(values, Split(3, 5), SIDES)
    assert {name: it.measured for name, it in found.items()} == pytest.approx(
        {"mean(v1..v3)": 8, "mean(v4..v5)": -5.5, "mean(v1..v3)-mean(v4..v5)": 13.5}
    )
    assert all(it.null.kind == "random_directions" and it.null.n == 999 for it in found.values())
    assert [it.null.alternative for it in found.values()] == list(SIDES)
    assert all(it.null.pvalue <= 0.01 for it in found.values())
    (relabelled,) = found["mean(v1..v3)-mean(v4..v5)"].further_nulls
    assert (relabelled.kind, relabelled.n, relabelled.pvalue) == ("label_permutation", 9, 1 / comb(5, 3))
    assert not found["mean(v1..v3)"].further_nulls


def test_the_relabelled_null_is_every_other_choice_of_an_edge():
    values = np.arange(5.0) ** 2
    found = DirectionSplits(5, 0, seed=0).means(values, Split(2, 5), SIDES)["mean(v1..v2)-mean(v3..v5)"]
    others = [np.mean(a) - (values.sum() - np.sum(a)) / 3 for a in combinations(values, 2)]
    others.remove(others[0])
    assert found.further_nulls[0].mean == pytest.approx(np.mean(others))
    assert found.further_nulls[0].pvalue == 1.0  # the two smallest values come first


def test_pairs_of_planted_values():
    values = np.zeros((24, 24))
    for (i, j), v in {(0, 1): 3, (0, 2): 4, (1, 2): 5, (3, 4): 1, (0, 3): 6, (2, 4): 12}.items():
        values[i, j] = values[j, i] = v
    np.fill_diagonal(values, 100)  # must not count
    found = DirectionSplits(5, 19, seed=0).pairs(values, Split(3, 5), SIDES)
    assert {name: it.measured for name, it in found.items()} == {
        "within(v1..v3)": 4,
        "within(v4..v5)": 1,
        "across(v1..v3,v4..v5)": 3,
        "within(v1..v3)-within(v4..v5)": 3,
    }
    assert found["within(v1..v3)"].null.mean < 0.5  # most pairs drawn are zero


@pytest.mark.parametrize(
    ("m", "names"),
    [
        (1, ["within(v2..v4)", "across(v1..v1,v2..v4)"]),
        (3, ["within(v1..v3)", "across(v1..v3,v4..v4)"]),
        (4, ["within(v1..v4)"]),
        (6, []),
    ],
)
def test_a_side_without_pairs_is_left_out(m, names):
    splits, values = DirectionSplits(4, 6, seed=0), np.random.default_rng(0).uniform(size=(10, 10))
    assert list(splits.pairs(values + values.T, Split(m, 4), SIDES)) == names
    assert bool(splits.means(values[0], Split(m, 4), SIDES)) == (m < 4)


def test_every_direction_against_the_random_ones():
    first, second = DirectionSplits(2, 3, seed=0).singles(np.array([5.0, 1.5, 1.0, 2.0, 3.0]))
    assert (first.measured, first.null.n, first.null.pvalue) == (5.0, 3, 1 / 4)
    assert second.null.pvalue == 3 / 4


def test_pvalues_are_uniform_where_edge_and_random_directions_are_alike():
    rng = np.random.default_rng(1)
    pvalues = []
    for seed in range(60):
        values = rng.standard_exponential(28)
        found = DirectionSplits(8, 20, seed).means(values, Split(3, 8), SIDES)["mean(v1..v3)-mean(v4..v8)"]
        pvalues.append((found.null.pvalue, found.further_nulls[0].pvalue))
    for column in np.array(pvalues).T:
        assert abs(column.mean() - 0.5) < 4 / np.sqrt(12 * len(column))
        assert (column <= 0.1).mean() < 0.1 + 4 * np.sqrt(0.09 / len(column))
