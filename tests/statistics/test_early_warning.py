import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectral_edge.statistics import (
    alarm_level,
    alarm_threshold,
    fall_from_maximum,
    first_alarm,
    rise_from_minimum,
)

few = settings(max_examples=100, deadline=None)
positive = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)
# Few distinct values, so that ties with each other and with the threshold occur.
coarse = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=12)
patiences = st.integers(1, 4)


def test_an_exponential_decay_falls_linearly_and_its_inverse_rises():
    decay = np.exp(-0.3 * np.arange(10))
    np.testing.assert_allclose(fall_from_maximum(decay), 0.3 * np.arange(10), atol=1e-12)
    np.testing.assert_allclose(rise_from_minimum(1 / decay), 0.3 * np.arange(10), atol=1e-12)
    assert rise_from_minimum(decay).tolist() == [0.0] * 10


def test_a_fall_is_counted_from_the_highest_point_and_forgets_lower_ones():
    up_and_down = [1.0, 8.0, 4.0, 2.0, 4.0]
    np.testing.assert_allclose(fall_from_maximum(up_and_down), np.log([1, 1, 2, 4, 2]))


def by_hand(values, threshold, patience):
    for t in range(patience - 1, len(values)):
        if all(x > threshold for x in values[t - patience + 1 : t + 1]):
            return t
    return None


@few
@given(coarse, st.integers(-1, 5).map(float), patiences)
def test_the_first_alarm_is_that_of_a_loop(values, threshold, patience):
    assert first_alarm(values, threshold, patience) == by_hand(values, threshold, patience)


@few
@given(coarse, st.integers(-1, 5).map(float), patiences)
def test_there_is_an_alarm_exactly_below_the_level(values, threshold, patience):
    assert (first_alarm(values, threshold, patience) is not None) == (threshold < alarm_level(values, patience))


@few
@given(positive, positive, positive)
def test_the_future_never_changes_a_statistic_of_the_past(past, one, other):
    for statistic in (fall_from_maximum, rise_from_minimum):
        seen = statistic(past)
        assert statistic(past + one)[: len(past)].tolist() == seen.tolist()
        assert statistic(past + other)[: len(past)].tolist() == seen.tolist()


@few
@given(positive, positive, positive, st.floats(0, 5), patiences)
def test_the_future_never_changes_an_alarm_of_the_past(past, one, other, threshold, patience):
    for statistic in (fall_from_maximum, rise_from_minimum):
        raised = first_alarm(statistic(past), threshold, patience)
        for future in (one, other):
            later = first_alarm(statistic(past + future), threshold, patience)
            assert later == raised if raised is not None else later is None or later >= len(past)


@few
@given(positive, st.floats(1e-3, 1e3))
def test_a_change_of_unit_changes_nothing(values, unit):
    np.testing.assert_allclose(fall_from_maximum(np.array(values) * unit), fall_from_maximum(values), atol=1e-9)


@few
@given(coarse, patiences)
def test_more_patience_alarms_no_earlier(values, patience):
    hasty, patient = (first_alarm(values, 1.0, m) for m in (patience, patience + 1))
    assert patient is None or (hasty is not None and hasty < patient)


@few
@given(st.lists(coarse, min_size=3, max_size=8), st.integers(0, 2))
def test_a_threshold_has_the_false_alarms_that_it_allows_and_is_the_lowest(runs, allowed):
    levels = [alarm_level(run) for run in runs]
    threshold = alarm_threshold(levels, allowed)
    assert sum(first_alarm(run, threshold) is not None for run in runs) <= allowed
    assert sum(level >= threshold for level in levels) > allowed  # any lower one has more


def test_a_new_run_passes_the_threshold_as_often_as_the_ranks_say():
    rng = np.random.default_rng(0)
    draws, n = 4000, 7
    for allowed in (0, 1):
        levels = rng.standard_cauchy((draws, n + 1))
        false = np.mean([new > alarm_threshold(old, allowed) for *old, new in levels])
        expected = (allowed + 1) / (n + 1)
        assert abs(false - expected) < 4 * math.sqrt(expected * (1 - expected) / draws)


def test_a_series_shorter_than_the_patience_raises_nothing():
    assert first_alarm([9.0], 0.0, patience=2) is None
    assert alarm_level([9.0], patience=2) == -math.inf


@pytest.mark.parametrize("statistic", [fall_from_maximum, rise_from_minimum])
def test_what_has_no_logarithm_is_refused(statistic):
    with pytest.raises(ValueError, match=r"values\[1\] is 0.0: only a number above 0"):
        statistic([1.0, 0.0])
    with pytest.raises(ValueError, match="at least 1"):
        statistic([])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="patience = 0"):
        first_alarm([1.0], 0.0, patience=0)
    with pytest.raises(ValueError, match="threshold = nan"):
        first_alarm([1.0], math.nan)
    with pytest.raises(ValueError, match="allowed = -1"):
        alarm_threshold([1.0], allowed=-1)
    with pytest.raises(ValueError, match="n at least 2"):
        alarm_threshold([1.0], allowed=1)
    with pytest.raises(ValueError, match=r"levels\[0\] is -inf"):
        alarm_threshold([-math.inf, 1.0])
