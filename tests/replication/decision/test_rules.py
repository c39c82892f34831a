"""The rules on planted excesses: known answers, known rates, and answers that do not hold still."""

import numpy as np
import pytest
from scipy import stats

from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.replication.decision.rules import (
    Contrast,
    combined,
    decide,
    decide_bound,
    prediction_interval,
    reproduces,
)

QUICK = PROTOCOL.model_copy(update={"resamples": 200})


def planted(mean, sd=1.0, n=30, seed=0):
    """n values with exactly this mean and standard deviation."""
    x = np.random.default_rng(seed).standard_normal(n)
    return mean + sd * (x - x.mean()) / x.std(ddof=1)


@pytest.mark.parametrize(
    ("mean", "sd", "answer"),
    [
        (2.0, 1.0, "yes"),  # far above the margin
        (0.0, 1.0, "no"),  # upper end .31
        (0.6, 1.0, "undecided"),  # interval .29 … .91 around a mean below the margin
        (-3.0, 1.0, "no"),
        (0.8, 4.0, "undecided"),  # the interval reaches zero
    ],
)
def test_answers_by_hand(mean, sd, answer):
    values = planted(mean, sd)
    half = stats.t.ppf(0.95, 29) * sd / np.sqrt(30)
    found = decide(values, 0.75, QUICK)
    assert found.before == answer
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert (found.n, found.effect) == (30, pytest.approx(mean))


def test_the_strongest_null_decides():
    values = np.stack([planted(3, seed=1), planted(0, seed=2), planted(2, seed=3)])
    found = decide(values, 0.75, QUICK)
    assert (found.answer, found.strongest, found.effect) == ("no", 1, pytest.approx(0))


def test_an_answer_that_does_not_hold_still_is_undecided():
    edge = decide(planted(0.76), 0.75, QUICK)  # half of all samples fall below the margin
    assert (edge.before, edge.answer) == ("yes", "undecided")
    assert edge.repeat < 0.7
    sure = decide(planted(2), 0.75, QUICK)
    assert (sure.answer, sure.repeat, sure.contradictions) == ("yes", 1.0, 0.0)


def test_halves_that_contradict_each_other_are_counted():
    """Of ten seeds five at +3 and five at -3 beside a margin of .1: halves of one kind say yes and no."""
    values = np.concatenate([planted(3, 0.1, 5, 1), planted(-3, 0.1, 5, 2)])
    found = decide(values, 0.1, QUICK.model_copy(update={"resamples": 4000}))
    # Each half of five is all of one kind in 2 of C(10, 5) = 252 splits; other mixtures have means within ±1.8.
    assert found.contradictions == pytest.approx(2 / 252, abs=0.006)


def test_few_seeds_decide_nothing():
    found = decide(planted(9, n=4), 0.75, QUICK)
    assert (found.answer, found.n, found.repeat) == ("undecided", 4, None)
    with pytest.raises(ValueError, match="not finite"):
        decide(np.array([1.0, np.nan]), 0.75, QUICK)


def test_the_rate_of_a_false_yes_where_nothing_is_planted():
    """A yes is a lower end above zero, one-sided at .05: at n = 30 that asks more than a margin of .2."""
    rng = np.random.default_rng(0)
    quick = QUICK.model_copy(update={"resamples": 1})
    answers = [decide(rng.standard_normal(30), 0.2, quick).before for _ in range(2000)]
    assert answers.count("yes") / 2000 == pytest.approx(0.05, abs=0.015)


def test_a_bound():
    assert decide_bound(planted(0.14, 0.01), 0.25, QUICK).answer == "yes"
    assert decide_bound(planted(0.3, 0.01), 0.25, QUICK).answer == "no"
    assert decide_bound(planted(0.25, 0.1), 0.25, QUICK).answer == "undecided"


def test_a_prediction_interval_has_its_level():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        *values, one_more = rng.standard_normal(11)
        low, high = prediction_interval(np.array(values), 0.95)
        inside += low <= one_more <= high
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)


def test_published_numbers_among_reruns():
    members = planted(0.0, 0.1, 10)
    assert reproduces(0.1, members, 1.0, QUICK) == "yes"
    assert reproduces(0.5, members, 1.0, QUICK) == "no"
    assert reproduces(0.1, members, 0.05, QUICK) == "undecided"
    assert reproduces(0.1, members[:4], 1.0, QUICK) == "undecided"


def test_several_answers_make_one():
    assert combined(["yes", "yes"]) == "yes"
    assert combined(["yes", "undecided", "no"]) == "no"
    assert combined(["yes", "undecided"]) == "undecided"
    assert combined([]) == "undecided"


def test_runs_that_are_compared_with_have_a_spread_of_their_own():
    values, reference = planted(3, 1, 30), planted(1, 2, 8, seed=4)
    found = decide([Contrast(values, reference)], 0.75, QUICK)
    low, high = stats.ttest_ind(values, reference, equal_var=False).confidence_interval(0.9)
    assert (found.effect, found.low, found.high) == (pytest.approx(2), pytest.approx(low), pytest.approx(high))
    alone = decide([Contrast(values - 1)], 0.75, QUICK)
    assert found.high - found.low > 2 * (alone.high - alone.low)


def test_nulls_of_different_seeds_are_refused():
    with pytest.raises(ValueError, match=r"\[9, 10\] seeds"):
        decide([Contrast(planted(1, n=10)), Contrast(planted(1, n=9))], 0.75, QUICK)


@pytest.mark.parametrize("reference", [np.empty(0), planted(1, 2, 8, seed=4)])
def test_many_selections_at_once_are_those_one_at_a_time(reference):
    contrast = Contrast(planted(2, 1, 12), reference)
    seeds = np.random.default_rng(1).integers(0, 12, (50, 12))
    seeds[0] = 3  # no spread at all
    mean, low, high = contrast.resampled(seeds, 0.9, np.random.default_rng(2))
    drawn = reference[np.random.default_rng(2).integers(0, len(reference), (50, len(reference)))]
    for i in range(1, 50):
        values = contrast.values[seeds[i]]
        if len(reference):
            ends = stats.ttest_ind(values, drawn[i], equal_var=False).confidence_interval(0.9)
            expected = (values.mean() - drawn[i].mean(), ends.low, ends.high)
        else:
            half = stats.t.ppf(0.95, 11) * values.std(ddof=1) / np.sqrt(12)
            expected = (values.mean(), values.mean() - half, values.mean() + half)
        assert (mean[i], low[i], high[i]) == pytest.approx(expected)
    if not len(reference):
        assert (low[0], high[0]) == pytest.approx((contrast.values[3], contrast.values[3]))
