"""The edge under other settings: rows against values computed by hand, the rule against planted excesses."""

import numpy as np
import polars
import pytest

import spectral_edge as se
from spectral_edge.replication.decision.measure import measure_modes
from spectral_edge.replication.decision.sensitivity import (
    derivative_errors,
    measure_sensitivity,
    sensitivity_effects,
)
from spectral_edge.report.sensitivity import draw_sensitivity
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import STOP, tiny
from support.tiny_runs import TINY_PROTOCOL as TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny("add", seed=1, **STOP).model_copy(update={"keep_updates": True, "window": 20})
    path = run_folder(tmp_path_factory.mktemp("kept"), config)
    train_run(path, config)
    return TrainedRun.open(path)


@pytest.fixture(scope="module")
def patched(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedRun, "step_of", lambda run, name, window=20: {"stop": 60, "transition": 55}[name])
        yield run


@pytest.fixture(scope="module")
def table(patched):
    return polars.DataFrame(measure_sensitivity(patched, "copies", TINY), infer_schema_length=None)


def test_the_deciding_setting_has_the_numbers_of_the_decision(patched, table):
    keys = ["checkpoint", "direction", "statistic", "grouping", "inputs", "null"]
    own = table.filter(stride=5, window=9, centered=True, method="jvp")
    decided = polars.DataFrame(measure_modes(patched, "seeds", TINY), infer_schema_length=None)
    both = own.join(decided, keys, nulls_equal=True, suffix="_decided")
    further = (polars.col("statistic") == "peakedness:script") & (polars.col("checkpoint") == "stop")
    assert len(both) == len(own.filter(~further))
    assert {(c, s) for c, s in both.select("checkpoint", "statistic").iter_rows()} >= {
        ("stop", "concentration"), ("stop", "head_purity"), ("transition", "peakedness:script"),
    }  # fmt: skip
    for name in ("measured", "null_mean"):
        np.testing.assert_allclose(both[name].to_numpy(), both[f"{name}_decided"].to_numpy(), rtol=1e-5)


def test_a_row_is_the_number_of_the_edge_of_its_setting(run, table):
    model, parameters = run.model_at(60)
    pairs = run.task.pairs[run.task.split(0.5, 1).test]
    labels = np.where(pairs[:, 0] == pairs[:, 1], -1, pairs.sum(1) % 13)
    weights = np.stack([run.weights_at(step).double().numpy() for step in range(10, 61, 10)])
    kept = run.run.read_updates(60)["stride1"]
    windows = {(1, 5, True): kept[-5:].double().numpy(), (10, 5, False): np.diff(weights, axis=0)}
    for (stride, window, centered), updates in windows.items():
        updates = updates - updates.mean(0) if centered else updates
        v1 = np.linalg.svd(updates, full_matrices=False)[2][:1].astype(np.float32)
        energy = se.functional_modes(model, v1, pairs, parameters=parameters).energy.numpy()
        found = table.filter(
            checkpoint="stop", stride=stride, window=window, centered=centered, direction="v1",
            statistic="concentration", null="isotropic",
        )  # fmt: skip
        expected = se.fourier_profile(energy, labels, 13).concentration[0]
        assert found["measured"].item() == pytest.approx(expected, rel=1e-3)
        assert found["position"].item() >= 1


def test_settings_whose_updates_nobody_kept_are_left_out(table):
    settings = {
        checkpoint: {(s, w) for s, w in part.select("stride", "window").iter_rows()}
        for (checkpoint,), part in table.group_by("checkpoint")
    }
    assert settings["stop"] == {(5, 9), (1, 5), (1, 10), (1, 20), (10, 5)}
    assert settings["transition"] <= {(5, 9), (1, 5), (1, 10), (1, 20), (10, 5)}


def test_where_the_deciding_window_does_not_fit_the_others_are_measured(patched):
    too_long = TINY.model_copy(update={"window": 30})
    table = polars.DataFrame(measure_sensitivity(patched, "copies", too_long), infer_schema_length=None)
    assert (table["window"] < 30).all()
    assert set(table["method"]) == {"jvp"}
    assert len(table) > 0


def test_the_quotient_tends_to_the_derivative(table):
    own = table.filter(method="finite_difference", checkpoint="stop", statistic="concentration", direction="v1")
    error = {
        row["relative_epsilon"]: abs(row["measured"] - row["null_mean"]) / row["null_mean"]
        for row in own.iter_rows(named=True)
    }
    assert set(error) == {0.0005, 0.005, 0.05}
    assert error[0.005] < error[0.05]
    assert error[0.005] < 0.05
    (at_last,) = [
        e for e in derivative_errors(table)
        if (e.statistic, e.checkpoint, e.relative_epsilon) == ("concentration", "stop", 0.05)
    ]  # fmt: skip
    assert at_last.n == 1
    assert at_last.largest >= at_last.median > 0


def planted(excess, setting, null="isotropic", task="add", grouping="sum"):
    stride, window, centered = setting
    noise = np.random.default_rng(3).normal(0, 0.01, 10)
    return [
        {
            "method": "jvp", "checkpoint": "stop", "task": task, "seed": seed, "copy": 1, "stride": stride,
            "window": window, "centered": centered, "position": 1, "direction": "v1", "statistic": "concentration",
            "grouping": grouping, "inputs": "test_off_diagonal", "null": null, "measured": 0.1 + excess + noise[seed],
            "null_mean": 0.1, "null_std": 0.05,
        }
        for seed in range(10)
    ]  # fmt: skip


def test_each_setting_has_the_rule_s_answer_against_the_stronger_null():
    beside = {"add": "sum", "sub": "difference", "mul": "discrete_log"}
    rows = []
    for null, excess in (("isotropic", 0.2), ("weights", 0.15)):
        rows += planted(excess, (100, 20, True), null) + planted(excess - 0.15, (1, 5, False), null)
        rows += planted(excess, (100, 20, True), null, "sub", beside["sub"])
    found = {(e.claim, e.stride): e for e in sensitivity_effects(polars.DataFrame(rows), TINY)}
    assert set(found) == {("C6", 100), ("C6", 1), ("C8", 100)}
    assert [found[key].answer for key in (("C6", 100), ("C6", 1))] == ["yes", "no"]
    assert found["C6", 100].null == "weights"
    assert found["C6", 100].effect == pytest.approx(0.15 + np.random.default_rng(3).normal(0, 0.01, 10).mean())
    assert found["C6", 100].n == 10
    axes = draw_sensitivity(list(found.values()), []).figure.axes[0]
    assert [text.get_text() for text in axes.texts][:2] == [f"{found['C6', 100].effect / 0.055:.1f}", "yes"]
    assert "stride 1, window 5, uncentred" in [label.get_text() for label in axes.get_yticklabels()]
