from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectral_edge.experiments.early_warning import (
    Fold,
    alarm_step,
    folds_of,
    judge,
    level_before,
    statistics_of,
    watched_values,
)
from support.planted_warnings import CONFIG, STEPS, planted_second, planted_sweep, watched

LOSS = next(s for s in statistics_of(CONFIG) if s.name == "test_loss_fall")
SINCE = next(s for s in statistics_of(CONFIG) if s.name == "steps_since_armed")


def with_loss(run, values):
    return replace(run, quantities={**run.quantities, ("test_loss", None): (STEPS[: len(values)], np.array(values))})


def of(rows, statistic, operation=None):
    return [row for row in rows if row.statistic == statistic and operation in (None, row.operation)]


def test_the_list_is_short_and_has_what_is_free_in_it():
    statistics = statistics_of(CONFIG)
    spectral = [(s.name, s.stride, s.window) for s in statistics if s.kind == "spectral"]
    names = ("g23_fall", "gap_ratio_rise", "effective_rank_fall", "edge_position_fall")
    assert spectral == [(name, stride, window) for stride, window in ((1, 20), (100, 10)) for name in names]
    assert {s.name for s in statistics if s.kind == "baseline"} == {
        "test_loss_fall", "train_loss_fall", "weight_norm_fall", "test_accuracy", "train_accuracy", "update_norm_fall",
    }  # fmt: skip


def test_a_planted_fall_is_warned_of_with_the_planted_lead():
    fold = folds_of("seed", planted_sweep())[2]
    assert fold.held_out == "3"
    rows = judge(fold, statistics_of(CONFIG), CONFIG)
    for row in of(rows, "test_loss_fall"):
        if row.event_step is None:
            assert (row.outcome, row.lead) == ("quiet", None)
        else:
            # It falls 500 steps before the event; two evaluations in a row take 100 more.
            assert (row.outcome, row.alarm_step, row.lead) == ("hit", row.event_step - 400, 400)
        assert row.threshold == pytest.approx(np.log(1 / 0.9))
        assert row.clock_step == 1700  # of 1 700, 1 700, 1 800, 1 800 in the training runs
        assert row.armed_step == 300


def test_what_does_not_move_neither_warns_nor_is_chosen():
    rows = judge(folds_of("seed", planted_sweep())[0], statistics_of(CONFIG), CONFIG)
    assert {row.outcome for row in of(rows, "g23_fall")} == {"miss", "quiet"}
    assert {row.chosen for row in of(rows, "chosen baseline")} == {"test_loss_fall"}
    assert {row.outcome for row in of(rows, "chosen baseline")} == {"hit", "quiet"}
    assert {(row.chosen, row.stride) for row in of(rows, "chosen spectral")} == {("g23_fall", 1)}  # first of equals


def test_an_alarm_at_the_event_warns_of_nothing():
    late = watched("add", 9, 2000, falls_at=1900)  # two evaluations: alarm at 2 000
    early = watched("add", 9, 2000, falls_at=1800)
    fold = Fold("seed", "9", tuple(planted_sweep()), (late, early))
    late_row, early_row = of(judge(fold, statistics_of(CONFIG), CONFIG), "test_loss_fall")
    assert (late_row.outcome, late_row.alarm_step, late_row.lead) == ("miss", 2000, None)
    assert (early_row.outcome, early_row.lead) == ("hit", 100)


def test_a_deeper_fall_without_an_event_is_a_false_alarm_even_at_the_very_end():
    fold = Fold("seed", "9", tuple(planted_sweep()), (watched("x3_xy", 9, falls_at=2900, to=0.89),))
    (row,) = of(judge(fold, statistics_of(CONFIG), CONFIG), "test_loss_fall")
    assert (row.outcome, row.alarm_step) == ("false_alarm", 3000)


def test_folds_divide_the_runs():
    sweep, second = planted_sweep(), planted_second()
    for scheme, n, judged in (("seed", 3, 24), ("operation", 4, 24), ("seed, weight decay 1", 3, 12)):
        folds = folds_of(scheme, sweep)
        assert len(folds) == n
        assert all(not {r.run_id for r in fold.training} & {r.run_id for r in fold.judged} for fold in folds)
        assert len({run.run_id for fold in folds for run in fold.judged}) == judged
        if scheme.endswith("1"):
            assert all(run.weight_decay == 1 for fold in folds for run in (*fold.training, *fold.judged))
    (fold,) = folds_of("second set, weight decay 1", sweep, second)
    assert (len(fold.training), fold.judged) == (12, tuple(second))
    assert folds_of("second set", sweep) == []


def test_judged_runs_have_no_part_in_thresholds_clocks_and_choices():
    sweep = planted_sweep()
    fold = folds_of("seed", sweep)[0]
    other = replace(fold, judged=tuple(watched("x3_xy", 1, falls_at=500, to=0.01) for _ in fold.judged))
    fixed = [
        {
            (r.statistic, r.stride, r.threshold, r.clock_step, r.chosen)
            for r in judge(one, statistics_of(CONFIG), CONFIG)
        }
        for one in (fold, other)
    ]
    assert fixed[0] == fixed[1]


def test_training_runs_that_generalise_have_no_part_in_thresholds():
    fold = folds_of("seed", planted_sweep())[0]
    changed = [
        run if run.transition_step is None else with_loss(run, np.geomspace(1, 1e-9, len(STEPS)))
        for run in fold.training
    ]
    before, after = (
        {(r.statistic, r.stride, r.threshold) for r in judge(f, statistics_of(CONFIG), CONFIG) if r.chosen is None}
        for f in (fold, replace(fold, training=tuple(changed)))
    )
    assert before == after


losses = st.lists(st.floats(0.01, 10), min_size=len(STEPS), max_size=len(STEPS))


@settings(max_examples=50, deadline=None)
@given(losses, losses, st.integers(4, len(STEPS) - 1), st.floats(0.01, 3))
def test_the_future_of_a_run_never_changes_an_alarm_of_its_past(past, future, now, threshold):
    """Through arming, extremum and patience: a run that goes on otherwise has had the same alarms until now."""
    run = watched()
    seen = alarm_step(with_loss(run, past[:now]), LOSS, threshold, CONFIG)
    later = alarm_step(with_loss(run, past[:now] + future[now:]), LOSS, threshold, CONFIG)
    assert later == seen if seen is not None else later is None or later > STEPS[now - 1]


def test_what_came_before_arming_is_forgotten():
    run = with_loss(watched(), [100.0, 100.0, *[1.0] * (len(STEPS) - 2)])  # high until it has memorised, at step 300
    assert watched_values(run, LOSS, CONFIG)[1].max() == 0
    started = CONFIG.model_copy(update={"armed": "start"})
    assert watched_values(run, LOSS, started)[1].max() == pytest.approx(np.log(100))
    steps, values = watched_values(run, SINCE, CONFIG)
    assert (steps[0], values[0], values[-1]) == (300, 0, 2700)


def test_a_run_that_never_memorises_is_never_watched():
    run = replace(watched(falls_at=1000, to=0.1), memorised_step=None)
    assert len(watched_values(run, LOSS, CONFIG)[0]) == 0
    assert alarm_step(run, LOSS, 0.0, CONFIG) is None
    assert level_before(run, LOSS, CONFIG) == 0


def test_levels_and_alarms_stop_where_they_are_told():
    run = watched(falls_at=1000, to=0.5)
    assert level_before(run, LOSS, CONFIG, until=1000) == 0  # one evaluation only
    assert level_before(run, LOSS, CONFIG, until=1100) == pytest.approx(np.log(2))
    assert alarm_step(run, LOSS, 0.5, CONFIG, until=1000) is None
    assert alarm_step(run, LOSS, 0.5, CONFIG, until=1100) == 1100


def test_at_comparable_steps_later_false_alarms_do_not_count():
    comparable = CONFIG.model_copy(update={"watched": "comparable"})
    judged = (watched("x3_xy", 9, falls_at=2900, to=0.5), watched("add", 9, 2800, falls_at=2600))
    fold = Fold("seed", "9", tuple(planted_sweep()), judged)  # latest event among the training runs: 2 300
    quiet, hit = of(judge(fold, statistics_of(CONFIG), comparable), "test_loss_fall")
    assert quiet.outcome == "quiet"
    assert (hit.outcome, hit.lead) == ("hit", 100)  # runs that generalise are watched to their event
    (clock,) = {row.threshold for row in of(judge(fold, statistics_of(CONFIG), comparable), "step")}
    assert clock == 2200  # two evaluations up to 2 300


def test_the_second_event_is_the_grok_step():
    grok = CONFIG.model_copy(update={"event": "grok"})
    symmetric = replace(watched("x2_y2", 9, 700, weight_decay=0.0), grok_step=None)
    fold = Fold("seed", "9", tuple(planted_sweep()), (symmetric, watched("add", 9, 2000, falls_at=1500)))
    quiet, hit = of(judge(fold, statistics_of(grok), grok), "test_loss_fall")
    assert (quiet.outcome, quiet.event_step) == ("quiet", None)
    assert (hit.event_step, hit.lead, hit.event) == (2200, 600, "grok")


def test_without_runs_that_do_not_generalise_there_is_no_threshold():
    only = tuple(run for run in planted_sweep() if run.transition_step is not None)
    with pytest.raises(ValueError, match="seed, 9 held out: 0 training runs do not generalise"):
        judge(Fold("seed", "9", only, only[:1]), statistics_of(CONFIG), CONFIG)
