"""Cells of the sensitivity grid are numbers of the main study; combined p-values are Fisher's; gaps say why."""

import math
from dataclasses import replace

import numpy as np
import pytest

import spectral_edge as se
from spectral_edge.grokking import Training, TrainingConfig
from spectral_edge.recording import watch
from spectral_edge.replication.modes.sensitivity import COLUMNS, SENSITIVITY, SETTING_COLUMNS
from spectral_edge.replication.modes.study import MODES
from spectral_edge.store import Analysis, RunSummary
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS, tiny

LAST = 60
BASES = ("sum", "discrete_log", "output:x2_y2", "gaussian_radial", "gaussian_angular")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Tiny runs that keep their last 20 updates, as a real one does where its stopping rule is met."""
    root = tmp_path_factory.mktemp("kept")
    opened = {}
    for operation in ("add", "x2_y2"):
        config = tiny(operation)
        run = train_run(run_folder(root, config), config)
        training = Training(config.training)  # the same training once more: the tiny run meets no stopping rule
        with watch(training.model, training.optimizer, window=20, every=1) as recorder:
            for _ in range(LAST):
                training.step()
        run.write_updates(LAST, {"stride1": recorder.window.updates})
        opened[operation] = TrainedRun.open(run.path)
    return opened


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def findings(runs, said):
    return {name: SENSITIVITY.measure(run, TINY_ANALYSIS, said.append) for name, run in runs.items()}


def analysis_of(findings, run, seed=42):
    summary = RunSummary(
        run_id=f"{run.config.run_id}-{seed}",
        task=run.training.operation,
        seed=seed,
        weight_decay=1.0,
        steps=LAST,
        grok_step=None,
        test_accuracy=0.5,
        analysed_steps=findings.analysed_steps,
    )
    return Analysis(findings.rows, summary, findings.arrays)


def row_of(findings, **wanted):
    """Index of the one setting with these values."""
    table = findings.arrays["sensitivity.settings"]
    wanted = {"relative_epsilon": math.nan} | wanted
    hits = [
        i
        for i, setting in enumerate(table)
        if all(
            np.array_equal(setting[SETTING_COLUMNS.index(name)], float(value), equal_nan=True)
            for name, value in wanted.items()
        )
    ]
    assert len(hits) == 1
    return hits[0]


def numbers(findings, line, **setting):
    values = findings.arrays[f"sensitivity.{line}"][row_of(findings, **setting)]
    return dict(zip(COLUMNS, values, strict=True))


MAIN = {"stride": TINY_ANALYSIS.stride, "window": TINY_ANALYSIS.window, "centered": TINY_ANALYSIS.centered}


@pytest.mark.parametrize("operation", ["add", "x2_y2"])
def test_the_default_cell_is_the_main_study(runs, findings, operation):
    main = MODES.measure(runs[operation], TINY_ANALYSIS, lambda stage: None).rows
    compared = 0
    for row in main:
        name = f"sensitivity.{row.claim}.{row.direction}.{row.statistic}.{row.grouping or 'none'}"
        if name in findings[operation].arrays and row.inputs not in ("test_off_diagonal",):
            cell = numbers(findings[operation], name.removeprefix("sensitivity."), **MAIN)
            # The derivative is batched with other directions here: equal up to float32 rounding.
            assert cell["measured"] == pytest.approx(row.measured, rel=1e-5)
            assert cell["null_mean"] == pytest.approx(row.null.mean, rel=1e-5)
            assert cell["pvalue"] == row.null.pvalue
            compared += 1
    assert compared >= 6
    default = findings[operation].arrays["sensitivity.settings"][:, SETTING_COLUMNS.index("default")]
    assert np.flatnonzero(default).tolist() == [row_of(findings[operation], **MAIN)]


def test_stride_one_is_read_from_the_kept_updates(runs, findings):
    kept = runs["add"].run.read_updates(LAST)["stride1"][-10:]
    x = kept.double().numpy()
    v = np.linalg.svd(x, full_matrices=False)[2][:3]
    _, subset = runs["add"].model_at(LAST)
    purity = np.mean([se.head_purity(kept.new_tensor(direction), subset) for direction in v])
    cell = numbers(findings["add"], "C3.mean(v1..v3).head_purity.none", stride=1, window=10, centered=False)
    assert cell["measured"] == pytest.approx(purity, rel=1e-4)


def test_an_impossible_cell_is_empty_and_says_why(findings, said):
    cell = numbers(findings["add"], "C6.mean(v1..v3).concentration.sum", stride=100, window=5, centered=True)
    assert np.isnan(list(cell.values())).all()
    why = [text for text in said if "window 5, stride 100, centred, at final" in text]
    assert why
    assert all("needs snapshots from step -440 on" in text for text in why)
    assert numbers(findings["add"], "C6.mean(v1..v3).concentration.sum", stride=1, window=20, centered=True)["n"] > 0
    possible = {(1, 5), (1, 9), (1, 10), (1, 20), (5, 5), (5, 9), (5, 10), (10, 5)}
    table = findings["add"].arrays["sensitivity.settings"]
    measured = np.isfinite(findings["add"].arrays["sensitivity.C3.v1.head_purity.none"][:, 0])
    assert {(int(s[1]), int(s[2])) for s in table[measured]} == possible


def test_the_finite_difference_goes_to_the_derivative(findings):
    for line in ("C6.mean(v1..v3).concentration.sum", "C4.mean(v1..v3).effective_rank.none"):
        exact = numbers(findings["add"], line, **MAIN)["measured"]
        errors = [
            abs(numbers(findings["add"], line, **MAIN, relative_epsilon=epsilon)["measured"] / exact - 1)
            for epsilon in (0.0005, 0.005, 0.05)
        ]
        assert errors[0] < 0.01
        assert errors[0] < errors[2]
        assert errors[2] > 1e-4
    alone = "C4.v1.effective_rank.none"  # its null holds no edge direction
    own_null = [numbers(findings["add"], alone, **MAIN, relative_epsilon=e)["null_mean"] for e in (0.0005, 0.05)]
    assert own_null[0] != pytest.approx(own_null[1], rel=1e-6)


def test_the_largest_of_five_bases_is_held_against_the_largest_of_five(runs, findings):
    found = findings["x2_y2"]
    single = [numbers(found, f"C9.v1.concentration.{basis}", **MAIN) for basis in BASES]
    joined = numbers(found, f"C9.v1.concentration.{'|'.join(BASES)}", **MAIN)
    assert joined["measured"] == max(cell["measured"] for cell in single)
    assert joined["null_mean"] > max(cell["null_mean"] for cell in single)


def test_seeds_are_combined_by_fisher_and_missing_cells_stay_missing(runs, findings):
    first = analysis_of(findings["add"], runs["add"], 42)
    name = "sensitivity.C6.mean(v1..v3).concentration.sum"
    other = {key: value.copy() for key, value in first.arrays.items()}
    at = row_of(findings["add"], **MAIN)
    gone = row_of(findings["add"], stride=1, window=5, centered=True)
    other[name][at, [0, 4]] = 0.5, 0.25
    other[name][gone] = np.nan
    second = replace(analysis_of(findings["add"], runs["add"], 137), arrays=other)
    rows = [r for r in SENSITIVITY.across([first, second]) if r.statistic == "sensitivity:concentration"]
    rows = [r for r in rows if (r.claim, r.relative_epsilon) == ("C6", None)]
    cell = next(r for r in rows if (r.stride, r.window, r.centered) == tuple(MAIN.values()))
    p, q = first.arrays[name][at, 4], 0.25
    assert cell.null.pvalue == pytest.approx(p * q * (1 - math.log(p * q)))  # chi squared with 4 degrees of freedom
    assert cell.measured == pytest.approx((first.arrays[name][at, 0] + 0.5) / 2)
    assert (cell.seeds, cell.seed, cell.run_id) == ([42, 137], None, None)
    half = next(r for r in rows if (r.stride, r.window, r.centered) == (1, 5, True))
    assert half.seed == 42
    assert half.null.pvalue == first.arrays[name][gone, 4]
    assert not [r for r in rows if r.stride == 100]


def test_stability_is_the_share_of_settings_on_the_side_of_the_main_one(runs, findings):
    arrays = {key: value.copy() for key, value in findings["add"].arrays.items()}
    name = "sensitivity.C6.mean(v1..v3).concentration.sum"
    measured = np.flatnonzero(np.isfinite(arrays[name][:, 0]))
    arrays[name][measured, 4] = 0.04
    arrays[name][measured[:3], 4] = 0.06
    at = row_of(findings["add"], **MAIN)
    analysis = replace(analysis_of(findings["add"], runs["add"]), arrays=arrays)

    def stability(p_of_main):
        arrays[name][at, 4] = p_of_main
        rows = [r for r in SENSITIVITY.across([analysis]) if r.statistic == "verdict_stability:concentration"]
        return next(r for r in rows if r.claim == "C6")

    assert at not in measured[:3]
    assert stability(0.01).measured == pytest.approx(1 - 3 / len(measured))
    assert stability(0.5).measured == pytest.approx(4 / len(measured))
    assert stability(0.5).null is None
    assert stability(0.5).seeds == [42]


def test_checkpoints_are_the_transition_and_the_stop(runs):
    metrics = [dict(line) for line in runs["add"].metrics]
    for line in metrics:
        line["test_accuracy"] = 0.99 if line["step"] >= 55 else 0.1
    found = SENSITIVITY.measure(TrainedRun(runs["add"].run, runs["add"].config, metrics), TINY_ANALYSIS, lambda _: None)
    assert found.analysed_steps == {"transition": 55, "stop": 60}
    at = {name: row_of(found, checkpoint=k, **MAIN) for k, name in enumerate(("transition", "stop"))}
    values = found.arrays["sensitivity.C4.v1.peakedness.sum"]
    assert values[at["transition"], 0] != values[at["stop"], 0]
    table = found.arrays["sensitivity.settings"]
    assert (table[np.isfinite(table[:, 4]), 0] == 1).all()  # steps of the derivative are varied at the stop
    rows = SENSITIVITY.across([analysis_of(found, runs["add"])])
    cells = {
        r.checkpoint: r for r in rows if r.statistic == "sensitivity:peakedness" and r.stride == 5 and r.window == 9
    }
    assert (cells["transition"].step, cells["stop"].step) == (55, 60)


def test_rows_name_everything_that_was_varied(runs, findings):
    rows = SENSITIVITY.across([analysis_of(findings[name], runs[name]) for name in runs])
    cells = [r for r in rows if r.statistic.startswith("sensitivity:")]
    assert {r.claim for r in cells} == {"C3", "C4", "C6", "C9", "C13", "C14"}
    keys = [
        (r.claim, r.task, r.statistic, r.checkpoint, r.stride, r.window, r.centered, r.method, r.relative_epsilon)
        for r in cells
    ]
    assert len(set(keys)) == len(keys)
    assert all(r.published is None and r.null.kind == "random_directions" for r in cells)
    stepped = [r for r in cells if r.method == "finite_difference"]
    assert {r.relative_epsilon for r in stepped} == {0.0005, 0.005, 0.05}
    assert "C3" not in {r.claim for r in stepped}
    assert all(r.method is None for r in cells if r.claim == "C3")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, True), ({"weight_decay": 0.0}, False), ({"nonzero": True}, False), ({"operation": "x3_xy"}, False)],
)
def test_it_applies_to_runs_that_grok_on_the_whole_domain(changes, expected):
    assert SENSITIVITY.applies(TrainingConfig(**({"operation": "mul"} | changes))) is expected
