"""The committed answers: made of the committed tables, and of nothing else."""

from pathlib import Path

import numpy as np
import polars
import pytest
from scipy import stats

from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.replication.decision.answers import answer_question, excesses
from spectral_edge.replication.decision.arms import FRESH_SEEDS
from spectral_edge.replication.decision.decay import decay_curves, part_effects
from spectral_edge.replication.decision.document import (
    committed,
    decision_claims,
    reproduction_claims,
    write_claims,
)
from spectral_edge.replication.decision.evidence_rows import evidence_rows
from spectral_edge.replication.decision.spreads import numbers_of, place, spreads_of
from spectral_edge.replication.decision.stored_answers import stored_answers
from spectral_edge.replication.decision.tables import read_table
from spectral_edge.store import Claims, StoreError
from spectral_edge.subjects.profiles import single_run
from support.synthetic import make_claims

KEPT = Path(__file__).parents[3] / "results" / "decision"


@pytest.fixture(scope="module")
def assembled():
    return decision_claims(KEPT)


@pytest.fixture(scope="module")
def tables():
    return tuple(read_table(KEPT / f"seeds{kind}.parquet", PROTOCOL) for kind in ("", ".series"))


def close(ours, theirs):
    """Equal but for rounding, which differs between processors; how often a bootstrap repeats may follow it."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            abs(ours[k] - theirs[k]) < 0.01 if k in ("repeat", "contradictions") and theirs[k] is not None
            else close(ours[k], theirs[k])
            for k in theirs if k != "because"
        )  # fmt: skip
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(theirs, float):
        return ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    return ours == theirs


def test_the_committed_document_is_that_of_the_committed_tables(assembled):
    stored = committed()
    for part in ("answers", "rows", "spreads"):
        ours, theirs = ([one.model_dump() for one in getattr(which, part)] for which in (assembled, stored))
        assert [place for place, pair in enumerate(zip(ours, theirs, strict=True)) if not close(*pair)] == [], part
    assert stored.protocol == PROTOCOL.digest


def test_assembled_again_it_is_the_same_bytes(assembled, tmp_path):
    write_claims(tmp_path / "one.json", assembled)
    before = (tmp_path / "one.json").read_bytes()
    write_claims(tmp_path / "one.json", decision_claims(KEPT).model_copy(update={"wall_seconds": 9.0}))
    assert (tmp_path / "one.json").read_bytes() == before
    (tmp_path / "one.json").write_text("{")
    assert write_claims(tmp_path / "one.json", assembled) == Claims.read(tmp_path / "one.json")


def test_every_claim_has_an_answer_with_its_reasons(assembled):
    assert [answer.claim for answer in assembled.answers] == [f"C{i}" for i in range(1, 15)]
    for answer in assembled.answers:
        assert answer.because
        if answer.claim in ("C13", "C14"):
            assert (answer.reproduces, answer.exists, answer.specific) == (None, None, None)
        elif answer.tasks:
            assert answer.strongest_null in {effect.null for task in answer.tasks for effect in task.effects}


def test_the_published_number_in_the_reasons_is_that_of_the_task_that_decides(assembled):
    """C5: addition's 0.25 lies outside its reruns, subtraction's 0.6 inside."""
    (answer,) = (one for one in assembled.answers if one.claim == "C5")
    add, sub = (next(task for task in answer.tasks if task.task == name) for name in ("add", "sub"))
    assert (answer.reproduces, add.reproduces, sub.reproduces) == ("no", "no", "undecided")
    assert f"{add.rerun_low:.3g} to {add.rerun_high:.3g}" in answer.because
    assert f"{sub.rerun_high:.3g}" not in answer.because


def test_an_effect_is_the_mean_over_the_rows_behind_it(assembled):
    """C7, F of the edge of multiplication: the mean over the rows of a run, then over runs, of measured - null mean."""
    (task,) = next(answer for answer in assembled.answers if answer.claim == "C7").tasks
    assert {effect.null for effect in task.effects} >= {"isotropic", "weights"}
    for effect in task.effects:
        runs = {}
        for row in assembled.rows:
            decides = row.seed in FRESH_SEEDS  # reruns of the paper's seed say whether its numbers come back
            if decides and (row.claim, row.null) == ("C7", effect.null) and row.direction != "v1-theta":
                assert row.effect == pytest.approx((row.measured - row.null_mean) / row.null_std)
                runs.setdefault(row.seed, []).append(row.measured - row.null_mean)
        assert effect.effect == pytest.approx(np.mean([np.mean(values) for values in runs.values()]))
        assert effect.n == len(runs)


@pytest.mark.parametrize("claim", ["C1", "C2"])
def test_an_excess_over_other_runs_is_the_mean_over_the_rows_behind_it(assembled, claim):
    (task,) = next(answer for answer in assembled.answers if answer.claim == claim).tasks
    assert task.effects
    for effect in task.effects:
        runs = {}
        for row in assembled.rows:
            if row.seed in FRESH_SEEDS and (row.claim, row.null) == (claim, effect.null):
                runs.setdefault(row.seed, []).append(row.measured - row.null_mean)
        assert effect.effect == pytest.approx(np.mean([np.mean(values) for values in runs.values()]))
        assert effect.n == len(runs)


def test_every_answer_has_rows_of_the_null_that_decides(assembled):
    behind = {(row.claim, row.null) for row in assembled.rows}
    deciding = {(answer.claim, answer.strongest_null) for answer in assembled.answers if answer.tasks}
    assert len(deciding) == 12
    assert deciding <= behind


def test_small_is_extreme_where_the_claim_is_that_of_a_small_number(tables):
    """C3's p counts draws at or below the measured purity; without ties, those at or above it are the others."""
    purity = tables[0].filter(
        statistic="head_purity", direction="v1", null="isotropic", seed=1001, task="add", checkpoint="stop"
    )
    (stored,) = purity["pvalue"]
    (row,) = [row for row in decision_rows(tables[0]) if (row.claim, row.task, row.null) == ("C3", "add", "isotropic")]
    below = 60 - round(stored * 61 - 1)
    assert row.pvalue == pytest.approx((below + 1) / 61)


def decision_rows(rows):
    return evidence_rows(rows.filter(seed=1001), None, PROTOCOL)


def test_a_spread_is_the_prediction_interval_of_the_seeds(tables):
    rows, series = tables
    (spread,) = [s for s in spreads_of(rows, series, PROTOCOL) if (s.task, s.statistic) == ("sub", "stop_step")]
    steps = series.filter(task="sub", arm="seeds").group_by("run_id").agg(polars.col("stop_step").first())["stop_step"]
    logs = np.log(steps.to_numpy())
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    assert (spread.low, spread.high) == pytest.approx((np.exp(logs.mean() - half), np.exp(logs.mean() + half)))
    assert spread.n == len(logs)


def test_numbers_of_a_stored_run_lie_where_they_were(tables):
    rows, series = (table.filter(run_id=single_run("mul", 1003).run_id) for table in tables)
    placed = place(rows, series, spreads_of(*tables, PROTOCOL))
    values = {key.statistic: value for key, _, _, value in numbers_of(rows, series)}
    assert {one.spread.statistic: one.measured for one in placed} == values
    assert len(placed) >= 10
    excess = values["concentration beyond weights"]
    of_seed = excesses(PROTOCOL.questions[[q.claim for q in PROTOCOL.questions].index("C7")], rows, "weights", "v1")
    assert excess == pytest.approx(of_seed[1003])


def test_a_reproduction_repeats_the_answers_and_places_numbers_of_the_same_protocol_only(tables):
    rows, series = (table.filter(seed=1002).with_columns(arm=polars.lit("reproduction")) for table in tables)
    decision = committed()
    found = reproduction_claims("quick", rows, series, 1.0, decision, claims=("C6", "C7"))
    assert [answer.claim for answer in found.answers] == ["C6", "C7"]
    assert {row.claim for row in found.rows} == {"C6", "C7"}
    assert len(found.placed) > 40
    other = reproduction_claims("quick", rows, series, 1.0, make_claims())
    assert other.placed == []
    nothing = reproduction_claims("quick", None, None, 1.0, decision)
    assert (nothing.rows, nothing.placed) == ([], [])


def test_no_table_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"no arm is measured there yet; run `spectral-edge decide"):
        decision_claims(tmp_path)


def test_curves_are_medians_and_quartiles_over_seeds_by_steps_before_the_stop(tables):
    series = tables[1]
    curves = {(curve.task, curve.quantity): curve for curve in decay_curves(series)}
    curve = curves["mul", "cosine_theta"]
    at = {}
    for _, run in series.filter(task="mul").group_by("run_id"):
        stop = max(run["stop_step"][0], 2000)
        for row in run.iter_rows(named=True):
            if row["cosine_theta"] is not None and row["step"] <= stop:
                at.setdefault(row["step"] - stop, []).append(abs(row["cosine_theta"]))
    assert curve.steps_before_stop == sorted(k for k, values in at.items() if len(values) >= 0.8 * curve.n)
    assert curve.median[-1] == pytest.approx(np.median(at[0]))
    assert (curve.low[-1], curve.high[-1]) == pytest.approx(tuple(np.quantile(at[0], [0.25, 0.75])))


def test_the_effects_of_parts_are_means_over_seeds(tables):
    rows = tables[0]
    (part,) = [
        p
        for p in part_effects(rows, PROTOCOL)
        if (p.task, p.statistic, p.direction, p.null) == ("sub", "variance_share:pc1", "gradient1", "weights")
    ]
    own = rows.filter(
        task="sub", statistic="variance_share:pc1", direction="gradient1", null="weights", inputs="test_off_diagonal"
    )
    excess = (own["measured"] - own["null_mean"]).to_numpy()
    half = stats.t.ppf(0.95, len(excess) - 1) * excess.std(ddof=1) / np.sqrt(len(excess))
    assert (part.effect, part.low, part.high, part.n) == pytest.approx(
        (excess.mean(), excess.mean() - half, excess.mean() + half, len(excess))
    )
    assert not [p for p in part_effects(rows, PROTOCOL) if (p.direction, p.null) == ("theta", "weights")]


def with_arm(table, arm, suffix, **changes):
    """The same rows as if another arm had measured them."""
    columns = {name: polars.lit(value).cast(table.schema[name]) for name, value in changes.items()}
    return table.with_columns(arm=polars.lit(arm), run_id=polars.col("run_id") + suffix, **columns)


def test_published_numbers_stand_beside_reruns_and_nowhere_else(tables):
    rows = tables[0].filter(polars.col("seed") <= 1003)
    hybrids = with_arm(rows.filter(null="isotropic"), "hybrid", "-h", seed=42)
    found = evidence_rows(polars.concat([rows, hybrids]), None, PROTOCOL)
    printed = [row for row in found if row.published is not None]
    assert {row.seed for row in printed} == {42}
    assert {(row.claim, row.published) for row in printed if row.claim in ("C6", "C7", "C8")} == {
        ("C6", 0.33), ("C7", 0.32), ("C8", 0.16),
    }  # fmt: skip
    subtraction = [row for row in printed if row.claim == "C8"]
    assert {(row.direction, row.inputs) for row in subtraction} == {(v, "test") for v in ("v1", "v2", "v3")}


def test_runs_that_an_answer_does_not_use_are_not_behind_it(tables):
    series = tables[1].filter(polars.col("seed") <= 1002)
    trunk = with_arm(series, "trunk", "-t")
    stopless = with_arm(series.filter(task="mul"), "seeds", "-never", seed=1009).with_columns(
        stop_step=polars.lit(None, dtype=polars.Int64)
    )
    alone, crowded = (
        evidence_rows(None, table, PROTOCOL) for table in (series, polars.concat([series, trunk, stopless]))
    )
    assert [row.run for row in crowded] == [row.run for row in alone]
    assert {row.claim for row in alone} == {"C1", "C2"}


def test_a_claim_of_several_tasks_waits_for_all_of_them(tables):
    rows = tables[0]
    for task in ("add", "sub"):
        rows = polars.concat([rows.filter(polars.col("task") != task), rows.filter(task=task).head(0)])
    found = {answer.claim: answer for answer in stored_answers(_answered(rows), PROTOCOL)}["C3"]
    assert (found.exists, found.n, found.final) == ("undecided", 0, False)
    assert [task.task for task in found.tasks] == ["mul", "x2_y2"]
    assert found.specific == "no", "one no is enough"


def _answered(rows):
    return [
        answer_question(q, rows, PROTOCOL) for q in PROTOCOL.questions if q.claim == "C3" and q.task in ("mul", "x2_y2")
    ]


def test_an_absence_is_counted_in_the_direction_of_the_claim(assembled):
    """C9 claims that nothing rises above permuted inputs: an excess of presence is one below zero of absence."""
    (task,) = next(answer for answer in assembled.answers if answer.claim == "C9").tasks
    by_run = {}
    for row in assembled.rows:
        if (row.claim, row.null) == ("C9", "inputs"):
            by_run.setdefault((row.seed, row.run), []).append(row.measured - row.null_mean)
    by_seed = {}
    for (seed, _), values in by_run.items():  # copies of a seed are averaged first
        by_seed.setdefault(seed, []).append(np.mean(values))
    assert len(by_seed) == task.existence.n < len(by_run)
    assert task.existence.effect == pytest.approx(-np.mean([np.mean(values) for values in by_seed.values()]))
    assert task.existence.low <= task.existence.effect <= task.existence.high
    assert task.existence.answer == ("no" if task.existence.effect < -task.margin else task.existence.answer)
