import numpy as np
import pytest

from spectral_edge.replication.spectra.run_contrast import ContrastRun, contrast_row, matched_step, value_at
from spectral_edge.store import Analysis
from support.synthetic import make_summary


def run(*key, **options):
    return ContrastRun(make_summary(*key, **options), {})


RUNS = [
    run("add", 1, grok=3000),
    run("add", 2, grok=2000),
    run("mul", 1, grok=2500),
    run("add", 1, 0.0),
    run("add", 3, 0.0),
    run("x3_xy", 1),
]


def test_a_run_is_matched_with_its_nearest_relative_that_grokked():
    assert [matched_step(r, RUNS, "grok_step") for r in RUNS] == [
        3000,  # its own
        2000,
        2500,
        3000,  # same operation and seed
        2000,  # same operation: lower median of 2 000 and 3 000
        2500,  # median of all
    ]
    assert matched_step(RUNS[5], RUNS, "stop_step") == 2700
    assert matched_step(RUNS[5], RUNS[3:], "grok_step") is None


def test_value_at_a_step_that_is_not_there():
    steps, values = np.array([100, 200]), np.array([1.5, 2.5])
    assert [value_at(steps, values, step) for step in (200, 300, None)] == [2.5, None, None]


def test_auc_of_planted_values_and_its_null_of_whole_conditions():
    """Two of four operations grok: six ways to choose them, so p is 1/6 however many seeds there are."""
    runs = [run(task, seed, grok=2000 if task in "ab" else None) for task in "abcd" for seed in (1, 2, 3)]
    values = [float(10 * r.grokked + r.summary.seed) for r in runs]
    row = contrast_row(runs, values, {"claim": "C1", "statistic": "auc", "grouping": "x"})
    assert (row.measured, row.task, row.seeds, row.interval.n) == (1.0, "all", [1, 2, 3], 12)
    assert row.interval.low < 1 == row.interval.high
    assert row.null.pvalue == pytest.approx(1 / 6, abs=0.03)
    assert row.null.mean == pytest.approx(0.5, abs=0.05)


def test_seeds_that_disagree_are_exchanged_as_they_are():
    runs = [run("a", 1, grok=2000), run("a", 2), run("b", 1), run("b", 2), run("c", 1)]
    row = contrast_row(runs, [5.0, 1.0, 2.0, 3.0, 9.0], {"claim": "C1", "statistic": "auc"})
    assert row.measured == pytest.approx(3 / 4)
    # The one label falls on the first seed of a (AUC 3/4) or of b (AUC 1/4): p is 1/2, the lone c never has it.
    assert row.null.pvalue == pytest.approx(0.5, abs=0.05)
    assert row.null.mean == pytest.approx(0.5, abs=0.03)


def test_missing_values_and_a_missing_kind_of_run():
    runs = [run("a", 1, grok=2000), run("b", 1), run("c", 1)]
    assert contrast_row(runs, [2.0, None, 1.0], {"claim": "C1", "statistic": "auc"}).interval.n == 2
    assert contrast_row(runs, [2.0, None, None], {"claim": "C1", "statistic": "auc"}) is None


def test_runs_are_chosen_by_their_arrays_and_ordered_by_id():
    analyses = [Analysis([], make_summary(task, 1), {"needed": np.zeros(1)} if task != "b" else {}) for task in "cba"]
    assert [r.summary.task for r in ContrastRun.all_of(analyses, "needed")] == ["a", "c"]
