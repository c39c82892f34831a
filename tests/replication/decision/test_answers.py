"""Answers of planted tables: which rows an answer is made of, and which way it points."""

import numpy as np
import polars
import pytest

from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.replication.decision.answers import answer_question, excesses

QUICK = PROTOCOL.model_copy(update={"resamples": 100})
BY_CLAIM = {(q.claim, q.task): q for q in PROTOCOL.questions}
NULLS = {"isotropic": 0.1, "span": 0.1, "weights": 0.1, "blocks": 0.1, "inputs": 0.09}


def row(question, *, seed=1001, copy=0, arm="seeds", direction="v1", null="isotropic", measured=0.3, **fields):
    return {
        "arm": arm, "task": question.task, "seed": seed, "copy": copy, "checkpoint": question.checkpoint,
        "position": 1, "direction": direction, "statistic": question.statistic, "grouping": question.grouping,
        "inputs": question.inputs, "null": null, "measured": measured, "null_mean": NULLS.get(null, 0.1),
        "null_std": 0.05, "peak": 26, "run_id": f"{seed}-{copy}",
    } | fields  # fmt: skip


def table(question, measured=0.3, spread=0.02, seeds=12, **changes):
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(1001, 1001 + seeds):
        value = measured + spread * rng.standard_normal()
        for direction in ("v1", "v2", "v1-theta"):
            own = changes.get(direction, value)
            rows += [row(question, seed=seed, direction=direction, null=n, measured=own) for n in NULLS]
    for copy in range(10):
        value = changes.get("hybrid", measured) + spread * rng.standard_normal()
        peak = changes.get("peak", 26)
        inputs = question.published_inputs or question.inputs
        rows.append(row(question, seed=42, copy=copy, arm="hybrid", measured=value, peak=peak, inputs=inputs))
    return polars.DataFrame(rows)


def test_a_clear_effect_is_yes_three_times():
    question = BY_CLAIM["C6", "add"]
    found = answer_question(question, table(question, 0.33), QUICK)
    assert (found.exists.answer, found.specific.answer, found.reproduces.answer) == ("yes", "yes", "yes")
    assert found.exists.effect == pytest.approx(0.24, abs=0.02)
    assert found.beyond_weights.answer == "yes"
    assert (found.reproduces.with_peak, found.reproduces.n) == (10, 10)
    assert found.reproduces.low < 0.33 < found.reproduces.high


def test_the_strongest_null_is_named():
    question = BY_CLAIM["C6", "add"]
    rows = table(question).with_columns(
        polars.when(polars.col("null") == "weights").then(0.31).otherwise("null_mean").alias("null_mean")
    )
    found = answer_question(question, rows, QUICK)
    assert (found.strongest_null, found.specific.answer) == ("weights", "no")
    assert found.by_null["isotropic"].answer == "yes"


def test_v1_without_its_part_along_the_weights_has_an_answer_of_its_own():
    question = BY_CLAIM["C6", "add"]
    found = answer_question(question, table(question, **{"v1-theta": 0.1}), QUICK)
    assert (found.specific.answer, found.beyond_weights.answer) == ("yes", "no")


def test_another_frequency_does_not_reproduce():
    question = BY_CLAIM["C6", "add"]
    assert answer_question(question, table(question, 0.33, peak=8), QUICK).reproduces.answer == "no"
    assert answer_question(question, table(question, 0.33, peak=25), QUICK).reproduces.answer == "yes"
    assert answer_question(question, table(question, 0.33, hybrid=0.6), QUICK).reproduces.answer == "no"


def test_only_directions_of_the_edge_count_and_copies_count_once():
    question = BY_CLAIM["C6", "add"]
    rows = [row(question, measured=0.2), row(question, direction="v2", measured=0.9)]
    assert excesses(question, polars.DataFrame(rows), "isotropic") == {1001: pytest.approx(0.1)}
    two = [line | {"position": 2} for line in rows]
    assert excesses(question, polars.DataFrame(two), "isotropic") == {1001: pytest.approx((0.1 + 0.8) / 2)}
    copies = [*rows, row(question, copy=1, arm="copies", measured=0.6), row(question, seed=1002, measured=0.4)]
    found = excesses(question, polars.DataFrame(copies), "isotropic")
    assert found == {1001: pytest.approx(0.3), 1002: pytest.approx(0.3)}


def test_a_claim_of_a_small_number_points_the_other_way():
    purity = BY_CLAIM["C3", "add"]
    found = answer_question(purity, table(purity, 0.14, 0.005), QUICK)
    assert (found.exists.answer, found.specific.answer) == ("yes", "no")  # below .25; no smaller than a null of .1
    assert found.specific.effect == pytest.approx(-0.04, abs=0.005)


def test_an_absence_exists_where_nothing_rises_above_permuted_inputs():
    question = BY_CLAIM["C9", "x2_y2"]
    absent = answer_question(question, table(question, 0.09, 0.01), QUICK)
    present = answer_question(question, table(question, 0.3, 0.01), QUICK)
    assert (absent.exists.answer, present.exists.answer) == ("yes", "no")
    assert (absent.reproduces.answer, present.reproduces.answer) == ("yes", "no")


def test_a_statistic_that_nobody_measured_is_named():
    question = BY_CLAIM["C7", "mul"]
    with pytest.raises(ValueError, match="C7, mul: no seed has concentration against 'isotropic'"):
        answer_question(question, table(BY_CLAIM["C6", "add"]), QUICK)


@pytest.mark.parametrize(("hybrid", "count", "answer"), [(0.1, 10, "yes"), (0.3, 0, "no")])
def test_reruns_below_a_printed_bound_are_counted(hybrid, count, answer):
    """The paper prints at most 0.15 with a range of 0.05: 0.175 counts."""
    question = BY_CLAIM["C9", "x2_y2"]
    found = answer_question(question, table(question, hybrid=hybrid, spread=0.002), QUICK).reproduces
    assert (found.with_peak, found.answer) == (count, answer)
