"""C1 and C2 on planted series, whose declines and correlations are known."""

import numpy as np
import polars
import pytest
from scipy import stats

from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.replication.decision.answers import answer_of_runs
from spectral_edge.replication.decision.contrasts import (
    PAIRS,
    agreement,
    agreement_contrasts,
    declines,
    gap_contrasts,
    mean_over_shifts,
    up_to_stop,
)

RATIOS = ("sigma_ratio", "displacement_ratio", "ratio_W_Q", "ratio_W_K")
STEPS = np.arange(1000, 3100, 100)


def series(task, seed, *, arm="seeds", decay=1.0, grok=2500, fall=40.0, norm_fall=4.0, copy=0, rng=None):
    """g23 rises to a peak at step 1500 and is ``fall`` times lower at ``grok`` and after."""
    n = len(STEPS)
    after = (grok or 2500) <= STEPS
    columns = {
        "step": STEPS,
        "test_accuracy": np.where((grok or 10**9) <= STEPS, 0.99, 0.1),
        "g23": np.where(after, 1.0, np.where(STEPS == 1500, fall, fall / 2)),
        "update_norm": np.where(after, 1.0, norm_fall),
    }
    noise = rng or np.random.default_rng(seed)
    columns |= {
        name: noise.standard_normal(n) for name in ("sigma_ratio", "displacement_ratio", "ratio_W_Q", "ratio_W_K")
    }
    return polars.DataFrame(columns).with_columns(
        arm=polars.lit(arm), run_id=polars.lit(f"{task}-{seed}-{decay}-{copy}"), task=polars.lit(task),
        seed=polars.lit(seed), copy=polars.lit(copy), weight_decay=polars.lit(decay),
        stop_step=polars.lit(grok, dtype=polars.Int64),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    runs = [
        series(task, seed, grok=grok) for seed in range(1001, 1007) for task, grok in (("add", 2500), ("mul", 2200))
    ]
    runs += [
        series(task, seed, arm="controls", decay=0.0, grok=None, fall=1.2)
        for seed in (1001, 1002)
        for task in ("add", "mul")
    ]
    runs += [series(task, 1001, arm="controls", grok=None, fall=2.0) for task in ("x3_xy", "random_table")]
    return polars.concat(runs)


def test_a_decline_is_from_the_peak_to_the_step_where_the_run_generalises(table):
    found = declines(table)
    own = found.filter(task="mul", arm="seeds", seed=1003).row(0, named=True)
    assert (own["step"], own["generalises"]) == (2200, True)
    assert own["decline"] == pytest.approx(np.log(40))


def test_runs_that_never_generalise_are_read_where_their_relatives_do(table):
    found = declines(table)
    steps = {(row["task"], row["weight_decay"]): row["step"] for row in found.iter_rows(named=True)}
    assert steps["add", 0.0] == 2500
    assert steps["mul", 0.0] == 2200
    assert steps["x3_xy", 1.0] == 2300  # the median of 2200 and 2500 is 2350: the last evaluation before


def test_contrasts_of_the_gap(table):
    found = gap_contrasts(table)
    assert found["no weight decay"].values == pytest.approx(np.full(6, np.log(40)))
    # Read at step 2500, where g23 has fallen from 1.2 to 1, and at step 2200, where it is half of its peak.
    assert found["no weight decay"].reference == pytest.approx(np.full(2, (np.log(1.2) + np.log(2)) / 2))
    assert found["operations that never generalise"].reference == pytest.approx(np.full(2, np.log(2)))
    assert found["update norm"].values == pytest.approx(np.full(6, np.log(40) - np.log(4)))


def test_where_nothing_generalises_runs_are_read_at_their_last_step():
    found = declines(series("add", 1, grok=None)).row(0, named=True)
    assert (found["step"], found["generalises"]) == (STEPS[-1], False)
    assert found["decline"] == pytest.approx(np.log(40))


def test_the_mean_over_circular_shifts_has_its_closed_form():
    run = series("add", 3)
    shifts = [agreement(run, polars.concat([run[by:], run[:by]])) for by in range(1, len(run))]
    assert mean_over_shifts(agreement(run), len(run)) == pytest.approx(np.mean(shifts))


def agreeing(seed):
    """Series that go together as claimed: all ratios with time, g23 against it."""
    time = np.arange(len(STEPS), dtype=float)
    rising = {name: polars.Series(time) for name in RATIOS}
    return series("add", seed).with_columns(**rising, g23=polars.Series(-time))


def test_agreement_is_the_mean_signed_rank_correlation():
    assert agreement(agreeing(1)) == 1.0
    run = series("add", 3)
    expected = [sign * stats.spearmanr(run[a], run[b]).statistic for a, b, sign in PAIRS]
    assert agreement(run) == pytest.approx(np.mean(expected))


def test_contrasts_of_agreement_are_zero_for_noise_and_for_series_that_all_runs_share():
    noise = agreement_contrasts(polars.concat([series("add", seed) for seed in range(12)]))
    for contrast in noise.values():
        low, high = contrast.interval(0.99)
        assert low < 0 < high
    shared = agreement_contrasts(polars.concat([agreeing(seed) for seed in range(6)]))
    assert shared["other runs"].values == pytest.approx(np.zeros(6))
    assert shared["circular shifts"].mean > 0.5


def test_c1_and_c2_have_three_answers(table):
    quick = PROTOCOL.model_copy(update={"resamples": 50})
    by_claim = {question.claim: question for question in PROTOCOL.questions}
    noise = np.random.default_rng(0)
    copies = [
        series(task, 42, arm="paper_seed", copy=copy, fall=float(np.exp(3.69 + 0.1 * noise.standard_normal())))
        for copy in range(10)
        for task in ("add", "mul")
    ]
    gap = answer_of_runs(by_claim["C1"], polars.concat([table, *copies]), None, quick)
    assert (gap.exists.answer, gap.specific.answer, gap.reproduces.answer) == ("yes", "yes", "yes")
    assert gap.strongest_null == "update norm"
    assert gap.specific.effect == pytest.approx(np.log(10))
    noisy = polars.concat([series("add", seed) for seed in range(1001, 1013)])
    assert answer_of_runs(by_claim["C1"], noisy, None, quick) is None  # no controls yet
    assert answer_of_runs(by_claim["C2"], noisy, None, quick).reproduces.answer is None


def test_c11_is_the_ratio_of_concentrations_on_trunks_of_one_seed():
    quick = PROTOCOL.model_copy(update={"resamples": 50})
    question = next(question for question in PROTOCOL.questions if question.claim == "C11")
    sizes = {"add+mul+x2_y2": 0.4, "add+x2_y2": 0.4, "mul+x2_y2": 0.2, "x2_y2": 0.1}
    rows = polars.DataFrame(
        [
            {"arm": "trunk", "task": task, "seed": seed, "statistic": "concentration", "inputs": "all",
             "direction": "v1", "null": "isotropic", "measured": size * 1.01**seed, "null_mean": 0.3 * 1.01**seed}
            for task, size in sizes.items()
            for seed in range(1, 7)
        ]
    )  # fmt: skip
    answer = answer_of_runs(question, None, rows, quick)
    assert answer.exists.effect == pytest.approx(np.log(4))
    assert (answer.strongest_null, answer.specific.effect) == ("isotropic", pytest.approx(np.log(4 / 3)))
    assert (answer.exists.answer, answer.specific.answer) == ("yes", "no")
    assert answer_of_runs(question, None, rows.filter(polars.col("task") != "mul+x2_y2"), quick) is None
    missing = rows.filter(~((polars.col("task") == "mul+x2_y2") & (polars.col("seed") == 3)))
    found = answer_of_runs(question, None, missing, quick)
    assert (found.by_null["isotropic"].n, found.by_null["mul+x2_y2"].n, found.specific.n) == (6, 5, 5)


def test_controls_alone_answer_nothing_yet(table):
    question = next(question for question in PROTOCOL.questions if question.claim == "C1")
    assert answer_of_runs(question, table.filter(polars.col("arm") == "controls"), None, PROTOCOL) is None


def test_a_long_control_counts_once_beside_the_short_one_of_its_seed(table):
    long = series("x3_xy", 1001, arm="controls", grok=None, fall=2.0).with_columns(run_id=polars.lit("long"))
    name = "operations that never generalise"
    before, after = (gap_contrasts(found)[name].reference for found in (table, polars.concat([table, long])))
    assert before.tolist() == after.tolist()


def test_a_run_that_generalises_at_once_has_no_decline():
    assert declines(series("add", 1, grok=1000)).is_empty()
    assert declines(series("add", 1, grok=1000)).columns[-1] == "decline"


def test_runs_are_read_to_their_stop_but_to_step_2000_at_least():
    late, early, short = series("add", 1), series("mul", 2, grok=1500), series("sub", 3).head(2)
    endless = series("x2_y2", 4, grok=None)
    read = up_to_stop(polars.concat([late, early, short, endless]))
    assert dict(read.group_by("task").agg(polars.col("step").max()).iter_rows()) == {"add": 2500, "mul": 2000}


def test_copies_of_another_seed_count_once_in_the_null_of_other_runs():
    runs = [series("add", 1, copy=copy, rng=np.random.default_rng(copy)) for copy in range(3)]
    runs += [series("add", seed) for seed in (2, 3)]
    found = agreement_contrasts(polars.concat(runs))["other runs"]
    kept = [up_to_stop(run) for run in runs]

    def beside(run, others):
        return np.mean([agreement(run, other) for other in others])

    second = agreement(kept[3]) - (beside(kept[3], kept[:3]) + agreement(kept[3], kept[4])) / 2
    first = np.mean([agreement(run) - beside(run, kept[3:]) for run in kept[:3]])
    assert found.values[:2] == pytest.approx([first, second])
