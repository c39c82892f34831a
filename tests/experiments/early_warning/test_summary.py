from dataclasses import replace

import numpy as np
import pytest

from spectral_edge.experiments.early_warning import (
    GROK,
    VARIANTS,
    at_equal_steps,
    by_rank,
    early_warnings,
    row_label,
    rows_of,
    statistics_of,
    trace_statistics,
    warning_points,
)
from spectral_edge.statistics import proportion_interval
from support.planted_warnings import CONFIG, planted_second, planted_sweep, watched


@pytest.fixture(scope="module")
def found():
    return early_warnings(planted_sweep(), planted_second())


def row(found, statistic, scheme="seed", variant=""):
    return next(r for r in rows_of(found, scheme, variant) if r.statistic == statistic)


def test_planted_counts_and_leads(found):
    loss = row(found, "test_loss_fall")
    assert (loss.hits, loss.generalised, loss.false_alarms, loss.others) == (6, 6, 0, 18)
    assert (loss.median_lead, loss.least_lead, loss.largest_lead) == (400, 400, 400)
    assert (loss.hits_interval.low, loss.hits_interval.high) == proportion_interval(6, 6)
    assert loss.hits_interval.n == 6
    assert loss.event_correlation == pytest.approx(1)
    assert loss.score == 1
    assert (loss.seeds, loss.held_out_data) == ([1, 2, 3], True)
    assert set(loss.thresholds) == {"1", "2", "3"}


def test_the_clock_of_a_statistic_knows_nothing_of_the_run(found):
    loss = row(found, "test_loss_fall")
    # Alarms at 1 700, 1 800, 1 900 by seed: medians of the two other seeds, the lower one of two.
    assert loss.clock_steps == {"1": 1800, "2": 1700, "3": 1700}
    assert (loss.clock_hits, loss.clock_median_lead) == (6, 500)
    assert (loss.clock_least_lead, loss.clock_largest_lead) == (300, 600)
    assert loss.clock_false_alarms == 18


def test_clocks_and_configuration_warn_of_nothing(found):
    for name in ("step", "steps_since_armed", "weight_decay"):
        assert (row(found, name).hits, row(found, name).false_alarms) == (0, 0)


def test_groups_show_where_alarms_are(found):
    groups = {
        (g.operation, g.weight_decay): (g.generalised, g.alarms, g.runs) for g in row(found, "test_loss_fall").groups
    }
    assert groups["add", 1.0] == (True, 3, 3)
    assert groups["add", 0.0] == (False, 0, 3)
    assert len(groups) == 8


def test_false_alarms_are_counted_where_they_are():
    """x3_xy falls further in seed 1 than in the others: a false alarm by their threshold, in that operation."""
    sweep = [
        replace(watched("x3_xy", 1, falls_at=1500, to=0.8), run_id=r.run_id) if r.run_id == "x3_xy-s1-wd1" else r
        for r in planted_sweep()
    ]
    loss = row(early_warnings(sweep, []), "test_loss_fall")
    assert (loss.hits, loss.false_alarms) == (6, 1)
    assert (loss.false_alarms_interval.low, loss.false_alarms_interval.high) == proportion_interval(1, 18)
    assert [(g.operation, g.weight_decay) for g in loss.groups if g.alarms and not g.generalised] == [("x3_xy", 1.0)]
    assert loss.score == pytest.approx(1 - 1 / 18)


def test_the_second_set_is_judged_by_all_seeds(found):
    loss = row(found, "test_loss_fall", "second set")
    assert (loss.hits, loss.generalised, loss.false_alarms, loss.others) == (1, 1, 0, 1)
    assert loss.median_lead == 900
    assert loss.thresholds == {"second set": pytest.approx(np.log(1 / 0.9))}


def test_every_variant_changes_what_it_says(found):
    assert {r.variant for r in found.rows} == {"", *VARIANTS}
    assert row(found, "test_loss_fall", variant="one evaluation").median_lead == 500
    assert row(found, "test_loss_fall", variant="three evaluations").median_lead == 300
    assert row(found, "test_loss_fall", variant=GROK).median_lead == 600
    assert row(found, "test_loss_fall", variant="armed from the start").armed == "start"
    assert row(found, "test_loss_fall", variant="comparable steps").watched == "comparable"
    assert found.protocol["variants"]["three evaluations"] == {"patience": 3}


def test_alarms_are_stored_for_the_main_schemes_alone(found):
    assert {(a.scheme, a.event) for a in found.alarms} == {
        ("seed", "transition"), ("seed, weight decay 1", "transition"), ("second set", "transition"),
        ("second set, weight decay 1", "transition"), ("seed", "grok"), ("seed, weight decay 1", "grok"),
    }  # fmt: skip


def test_at_equal_steps_a_planted_fall_is_told_apart_and_time_is_not():
    """Two of four operations generalise, at weight decay 1: two of eight conditions, p at best 1/28."""
    found = at_equal_steps(planted_sweep(), statistics_of(CONFIG), CONFIG, "seed")
    area, p = found["test_loss_fall", None]
    assert area == 1
    assert p == pytest.approx(1 / 28, abs=0.015)
    assert found["g23_fall", 1] == (0.5, 1.0)
    assert found["weight_decay", None][0] == pytest.approx(1 - 0.5 * 6 / 18)  # ties with the others of decay 1
    assert found["step", None][0] == pytest.approx(0.5, abs=0.1)


def test_at_equal_steps_what_comes_later_does_not_count():
    """A run that never generalises falls further than all others, but after the event of its nearest relative."""
    late = [
        replace(watched(r.operation, r.seed, falls_at=2400, to=0.01), run_id=r.run_id)
        if r.transition_step is None
        else r
        for r in planted_sweep()
    ]
    assert at_equal_steps(late, statistics_of(CONFIG), CONFIG, "seed")["test_loss_fall", None][0] == 1
    assert at_equal_steps([r for r in late if r.transition_step], statistics_of(CONFIG), CONFIG, "seed") == {}


def test_ranking_is_by_hits_less_false_alarms_then_lead(found):
    ranked = by_rank(rows_of(found, "seed"))
    assert [r.statistic for r in ranked[:2]] == ["test_loss_fall", "chosen baseline"]
    better = ranked[0].model_copy(update={"median_lead": 500.0})
    assert by_rank([ranked[0], better])[0] is better
    worse = better.model_copy(update={"false_alarms": 1})
    assert by_rank([worse, ranked[0]])[0] is ranked[0]
    assert row_label(ranked[1]) == "chosen baseline: test_loss_fall"


def test_points_have_a_cell_for_every_column(found):
    points = warning_points(found)
    assert len(points) == 9
    assert all(len(line) == len(point.columns) for point in points for line in point.rows)
    assert "at best 1/28." in points[1].note  # two of eight conditions
    assert "at best 1/6." in points[2].note  # two of four
    first = points[1].rows[0]
    assert first[:4] == ("test_loss_fall", "yes", "6 of 6 [0.54, 1.00]", "0 of 18 [0.00, 0.19]")
    assert first[5:8] == ("400 [400 to 400]", "6 of 6", "500 [300 to 600]")
    landmarks = {(line[0], line[1], line[2]): line[3:] for line in points[0].rows}
    assert landmarks["sweep", "add mod 97", "1"] == ("3", "300", "2100 to 2300", "2300 to 2500", "3000")
    assert landmarks["second set", "add renamed mod 97", "1"][:3] == ("1", "300", "2500")
    assert landmarks["sweep", "x3_xy mod 97", "0"][2] == "—"


def test_without_a_second_set_there_is_no_table_of_it():
    points = warning_points(early_warnings(planted_sweep(), []))
    assert not any("Second set" in point.title for point in points)


def test_traces_end_at_the_event_and_have_the_thresholds():
    traces = trace_statistics(planted_sweep(), CONFIG)
    loss = next(t for t in traces if t.label == "test_loss_fall")
    assert loss.threshold == loss.threshold_decayed == pytest.approx(np.log(1 / 0.9))
    assert len(loss.curves) == 24
    assert sorted({int(c.steps[-1]) for c in loss.curves if c.generalised}) == [2100, 2200, 2300]
    assert {int(c.steps[-1]) for c in loss.curves if not c.generalised} == {3000}
    assert {int(c.steps[0]) for c in loss.curves} == {300}
