from dataclasses import replace

import numpy as np
import pytest

from spectral_edge.grokking import TrainingConfig
from spectral_edge.modes import functional_modes
from spectral_edge.replication.shared_trunk.study import SHARED_TRUNK, published_numbers
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS, tiny

P = 13


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("shared")
    found = {"full": TrainedRun.open(trained["x2_y2"]), "add": TrainedRun.open(trained["add"])}
    for name, operation in {"shared": "add+x2_y2", "alone": "x2_y2"}.items():
        config = tiny(operation, nonzero=True)
        path = run_folder(root, config)
        train_run(path, config)
        found[name] = TrainedRun.open(path)
    return found


@pytest.fixture(scope="module")
def findings(runs):
    return {name: SHARED_TRUNK.measure(run, TINY_ANALYSIS, lambda stage: None) for name, run in runs.items()}


def rows_of(findings, statistic, **fields):
    return [r for r in findings.rows if r.statistic == statistic and all(getattr(r, k) == v for k, v in fields.items())]


def test_it_applies_to_the_three_tasks_and_their_trunks_with_weight_decay():
    applies = {
        name: SHARED_TRUNK.applies(TrainingConfig(operation=name, nonzero="+" in name))
        for name in ("add", "mul", "x2_y2", "add+mul+x2_y2", "mul+x2_y2", "sub", "x3_xy")
    }
    assert [name for name, answer in applies.items() if not answer] == ["sub", "x3_xy"]
    assert not SHARED_TRUNK.applies(TrainingConfig(operation="add", weight_decay=0.0))


def test_models_that_share_a_task_have_different_names(findings):
    names = {name: {row.model for row in found.rows} for name, found in findings.items()}
    assert names == {"shared": {"add+x2_y2"}, "alone": {"x2_y2 (nonzero)"}, "full": {None}, "add": {None}}
    assert {row.task for row in rows_of(findings["shared"], "concentration")} == {"x2_y2"}


@pytest.mark.parametrize("name", ["shared", "alone", "full"])
def test_spectra_are_those_of_held_out_nonzero_pairs(runs, findings, name):
    run = runs[name]
    step = run.metrics[-1]["step"]
    model, _ = run.model_at(step)
    directions = run.edge(step, TINY_ANALYSIS.window, TINY_ANALYSIS.stride, True).directions(3)
    test = run.task.pairs[run.task.split(0.5, run.training.seed).test]
    test = test[(test != 0).all(axis=1)]
    energy = functional_modes(model, directions, test).energy.numpy()
    labels = {"sum": test.sum(axis=1) % P, "output:x2_y2": (test**2).sum(axis=1) % P}
    for basis, q in labels.items():
        seen = sorted(set(q.tolist()))
        means = np.full((3, P), np.nan)
        for group in seen:
            means[:, group] = energy[:, q == group].mean(axis=1)
        means = np.where(np.isnan(means), np.nanmean(means, axis=1, keepdims=True), means)
        power = np.abs(np.fft.fft(means)[:, 1 : P // 2 + 1]) ** 2
        got = findings[name].arrays[f"shared_trunk.trunk.{basis}.edge"]
        np.testing.assert_allclose(got, power / power.sum(axis=1, keepdims=True), rtol=2e-3, atol=1e-5)


def test_addition_s_frequency_is_that_of_addition_s_head_in_the_same_model(findings):
    shared = findings["shared"]
    frequency = int(shared.arrays["shared_trunk.frequencies.head_add"].argmax()) + 1
    for reading, direction in (("trunk", "v2"), ("head_x2_y2", "v2:head_x2_y2")):
        (row,) = rows_of(shared, "power_share:addition", direction=direction, grouping="sum")
        assert row.peak == frequency
        edge, random = (shared.arrays[f"shared_trunk.{reading}.sum.{of}"] for of in ("edge", "random"))
        assert row.measured == pytest.approx(edge[1, frequency - 1], rel=1e-5)
        above = int((random[:, frequency - 1] >= edge[1, frequency - 1]).sum())
        assert row.null.pvalue == pytest.approx((above + 1) / (TINY_ANALYSIS.random_directions + 1))
    (three,) = rows_of(shared, "power_share:addition_top3", direction="v2", grouping="sum")
    assert three.top[0] == frequency
    assert three.measured > rows_of(shared, "power_share:addition", direction="v2", grouping="sum")[0].measured


def test_a_model_without_addition_has_no_frequency_of_addition(findings):
    assert not rows_of(findings["alone"], "power_share:addition")
    assert not rows_of(findings["alone"], "shared_frequencies:add")
    assert rows_of(findings["shared"], "shared_frequencies:add")


def test_discrete_log_frequencies_are_not_compared_with_addition_s(findings):
    assert {row.grouping for row in rows_of(findings["shared"], "power_share:addition")} == {"sum", "output:x2_y2"}


def test_synergy_is_what_both_explain_beyond_the_better(findings):
    r2 = {row.grouping: row.measured for row in rows_of(findings["shared"], "r2", direction="v1")}
    (row,) = rows_of(findings["shared"], "synergy", direction="v1")
    assert row.measured == pytest.approx(r2["both"] - max(r2["add"], r2["mul"]), abs=1e-6)
    (held_out,) = rows_of(findings["shared"], "synergy_cross_validated", direction="v1")
    assert held_out.measured < row.measured


def test_a_task_alone_on_its_full_domain_gives_its_frequencies_only(findings):
    add = findings["add"]
    assert {row.statistic for row in add.rows} == {"logit_concentration", "embedding_concentration"}
    assert all(row.direction is None for row in add.rows)


def test_numbers_of_another_protocol_have_no_published_number_beside_them(findings):
    assert all(row.published is None and row.published_peak is None for f in findings.values() for row in f.rows)


@pytest.mark.parametrize(
    ("training", "analysis", "peak"),
    [
        ({"operation": "add+mul+x2_y2", "nonzero": True}, {}, 26),
        ({"operation": "x2_y2", "min_steps": 5000, "max_steps": 10_000}, {}, 17),
        ({"operation": "x2_y2", "nonzero": True}, {}, None),
        ({"operation": "add+x2_y2", "nonzero": True}, {}, None),
        ({"operation": "x2_y2", "seed": 137}, {}, None),
        ({"operation": "x2_y2"}, {"window": 10}, None),
        ({"operation": "x2_y2"}, {"centered": False}, None),
    ],
)
def test_published_numbers_are_those_of_seed_42_under_the_published_protocol(training, analysis, peak):
    found = published_numbers(TrainingConfig(**training), AnalysisConfig(**analysis))
    assert (found.peak if found else None) == peak


def test_array_names_are_the_study_s_own(findings):
    assert all(name.startswith("shared_trunk.") for f in findings.values() for name in f.arrays)


def test_each_task_has_a_grok_step_of_its_own(runs):
    first = {"add": 45, "x2_y2": 20}
    metrics = []
    for line in runs["shared"].metrics:
        accuracies = {task: 0.99 if line["step"] >= step else 0.1 for task, step in first.items()}
        metrics.append(line | {"test_accuracies": accuracies, "test_accuracy": min(accuracies.values())})
    found = SHARED_TRUNK.measure(replace(runs["shared"], metrics=metrics), TINY_ANALYSIS, lambda stage: None)
    assert {row.task: row.measured for row in rows_of(found, "grok_step")} == first
    assert {row.step for row in rows_of(found, "concentration")} == {55}
    assert {row.checkpoint for row in rows_of(found, "concentration")} == {"stop"}
    at_grok = rows_of(found, "logit_concentration:at_grok_of_x2_y2")
    assert {(row.task, row.step, row.checkpoint) for row in at_grok} == {("add", 20, None), ("x2_y2", 20, None)}


def test_a_run_that_does_not_generalise_is_measured_where_it_ended(runs, findings):
    found = findings["alone"]
    assert found.analysed_steps == {"final": runs["alone"].metrics[-1]["step"]}
