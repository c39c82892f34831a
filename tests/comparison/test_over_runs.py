"""Effects over runs against Student's interval written out, and the rule of the three answers."""

import numpy as np
import pytest
import torch
from scipy import stats

import spectral_edge as se
from spectral_edge.comparison import Comparison, NullRow

PROTOCOL = {"parameters": ["w"], "dim": 5, "window": 10, "centered": True}


def run(effect, null="isotropic", direction=1, alternative="greater", **protocol):
    """A comparison whose null has mean 0 and SD 1, so that the measured value is the effect."""
    row = NullRow(direction, "energy", null, float(effect), np.array([-1.0, 1.0] * 20))
    return Comparison((row,), PROTOCOL | protocol, alternative)


def test_mean_interval_and_n():
    effects = [0.4, 1.9, 1.1, 0.7, 2.2, 1.3]
    (row,) = se.over_runs([run(e) for e in effects]).table.to_dicts()
    half = stats.t.ppf(0.95, 5) * np.std(effects, ddof=1) / 6**0.5
    assert (row["direction"], row["statistic"], row["null"], row["n"]) == (1, "energy", "isotropic", 6)
    assert row["effect"] == pytest.approx(np.mean(effects))
    assert (row["low"], row["high"]) == pytest.approx((np.mean(effects) - half, np.mean(effects) + half))


@pytest.mark.parametrize(
    ("effects", "margin", "answer"),
    [
        ([1.0, 1.2, 0.9, 1.1, 1.0], 0.75, "special"),
        ([1.0, 1.2, 0.9, 1.1], 0.75, "undecided"),  # four runs
        ([0.5, 0.6, 0.4, 0.5, 0.5], 0.75, "not special"),  # above 0, and below the margin
        ([0.5, 0.6, 0.4, 0.5, 0.5], 0.25, "special"),
        ([3.0, -2.0, 4.0, -1.0, 2.0], 0.75, "undecided"),
        ([-3.0, -2.0, -4.0, -1.0, -2.0], 0.75, "not special"),
    ],
)
def test_three_answers(effects, margin, answer):
    assert se.over_runs([run(e) for e in effects], margin=margin).table["answer"].to_list() == [answer]
    mirrored = [run(-e, alternative="less") for e in effects]
    assert se.over_runs(mirrored, margin=margin).table["answer"].to_list() == [answer]


def test_copies_of_a_seed_are_one_run():
    effects, groups = [1.0, 3.0, 1.0, 1.0, 1.0, 1.0], ["a", "a", "b", "c", "d", "e"]
    (row,) = se.over_runs([run(e) for e in effects], groups=groups).table.to_dicts()
    assert (row["n"], row["effect"]) == (5, pytest.approx(np.mean([2, 1, 1, 1, 1])))


def test_rows_match_by_direction_statistic_and_null_and_n_counts_those_that_have_them():
    results = [run(1.0) for _ in range(5)] + [run(2.0, null="span"), run(3.0, direction=2)]
    constant = Comparison((NullRow(1, "energy", "isotropic", 1.0, np.ones(40)),), PROTOCOL)
    table = se.over_runs([*results, constant]).table
    assert table.filter(direction=1, null="isotropic")["n"].to_list() == [5]  # without the one that has no effect
    assert table.filter(direction=1, null="span")["n"].to_list() == [1]
    assert table.filter(direction=2)["low"].to_list() == [None]


def test_runs_may_have_different_inputs_draws_and_steps():
    results = [run(1.0, inputs=100 + i, draws=50 + i, step=1000 * i, seed=i) for i in range(5)]
    assert se.over_runs(results).table["n"].to_list() == [5]


def test_runs_of_different_protocols_are_refused_by_what_differs():
    with pytest.raises(ValueError, match=r"comparisons 1 and 3 differ in window: 10 and 20"):
        se.over_runs([run(1), run(1), run(1, window=20)])
    with pytest.raises(ValueError, match="differ in alternative"):
        se.over_runs([run(1), run(1, alternative="less")])
    se.over_runs([run(1, seed=1, draws=200), run(1, seed=2, draws=100)])


def test_edges_of_different_positions_are_combined_where_no_set_is_compared():
    several = [run(1.0, directions=1), run(1.0, directions=2)]
    assert se.over_runs(several).table["n"].to_list() == [2]
    with pytest.raises(ValueError, match="differ in directions"):
        se.over_runs([run(1.0, direction=None, directions=k) for k in (1, 2)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"results": []}, "there are no comparisons"),
        ({"margin": 0}, "margin = 0"),
        ({"groups": ["a"]}, "1 groups for 2"),
    ],
)
def test_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        se.over_runs(**{"results": [run(1), run(2)]} | arguments)


def test_groups_may_be_a_tensor():
    runs = [run(effect) for effect in (1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.1)]
    tables = [se.over_runs(runs, groups=groups).table for groups in (torch.arange(7) // 2, [0, 0, 1, 1, 2, 2, 3])]
    assert tables[0].equals(tables[1])
    assert tables[0]["n"].to_list() == [4]
