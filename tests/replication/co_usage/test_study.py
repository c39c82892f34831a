import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spectral_edge.comparison import iterate_random_directions
from spectral_edge.grokking import TrainingConfig
from spectral_edge.modes import functional_modes
from spectral_edge.replication.co_usage import study as co_usage_study
from spectral_edge.replication.co_usage.study import CO_USAGE, is_published
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS, tiny


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    config = tiny("add+x2_y2", nonzero=True)
    path = run_folder(tmp_path_factory.mktemp("shared"), config)
    train_run(path, config)
    return {"shared": TrainedRun.open(path), "single": TrainedRun.open(trained["add"])}


@pytest.fixture(scope="module")
def findings(runs):
    return {name: CO_USAGE.measure(run, TINY_ANALYSIS, lambda stage: None) for name, run in runs.items()}


def derivatives_by_automatic_differentiation(run, step):
    """(T, 8 + 20, N): the loss of every input differentiated along every direction, without a residual stream."""
    model, parameters = run.model_at(step)
    config, several = TINY_ANALYSIS, len(run.tasks) > 1
    directions = run.edge(step, config.window, config.stride, config.centered).directions(8)
    nulls = torch.cat(list(iterate_random_directions(config.random_directions, parameters, seed=config.seed)))
    found = []
    for task in run.tasks:

        def loss(model, inputs, task=task):
            logits = model(inputs[:, 0], inputs[:, 1])
            return F.cross_entropy(logits[task.name] if several else logits, inputs[:, 2], reduction="none")[:, None]

        inputs = torch.from_numpy(np.column_stack([task.pairs, task.labels]))
        modes = functional_modes(model, torch.cat([directions, nulls]), inputs, parameters=parameters, forward=loss)
        found.append(modes.response[..., 0].double().numpy())
    return np.stack(found)


def value(findings, statistic, direction, **fields):
    (row,) = [
        r
        for r in findings.rows
        if (r.statistic, r.direction) == (statistic, direction) and all(getattr(r, k) == v for k, v in fields.items())
    ]
    return row


def test_sharedness_and_usage_are_those_of_automatic_differentiation(runs, findings):
    run, found = runs["shared"], findings["shared"]
    step = found.analysed_steps["final"]
    a = derivatives_by_automatic_differentiation(run, step)
    split = run.task.split(run.training.frac_train, run.training.seed)
    for inputs, index in {"test": split.test, "train": split.train, "all": slice(None)}.items():
        usage = (a[:, :, index] ** 2).mean(2)
        relative = usage / usage[:, 8:].mean(1, keepdims=True)
        for name, u in {"sharedness": usage, "sharedness_normalised": relative}.items():
            shared = u.sum(0) ** 2 / (2 * (u**2).sum(0))
            expected = shared[:3].mean() - shared[3:8].mean()
            row = value(found, name, "mean(v1..v3)-mean(v4..v8)", inputs=inputs)
            assert row.measured == pytest.approx(expected, abs=1e-4)
            assert (row.task, row.model) == ("add+x2_y2", "add+x2_y2")
            if (name, inputs) == ("sharedness", "test"):
                assert value(found, name, "v2").measured == pytest.approx(shared[1], rel=1e-4)
                assert value(found, name, "v2").null.mean == pytest.approx(shared[8:].mean(), rel=1e-4)
    usage = (a[:, :, split.test] ** 2).mean(2)
    np.testing.assert_allclose(found.arrays["co_usage.final.usage"], usage[:, :8], rtol=1e-3)
    for i, task in enumerate(("add", "x2_y2")):
        row = value(found, "usage", "mean(v4..v8)", task=task)
        assert row.measured == pytest.approx(usage[i, 3:8].mean(), rel=1e-3)
        assert row.null.mean == pytest.approx(usage[i].mean(), rel=0.2)


def test_co_usage_is_that_of_automatic_differentiation(runs, findings):
    run, found = runs["single"], findings["single"]
    (a,) = derivatives_by_automatic_differentiation(run, found.analysed_steps["final"])
    split = run.task.split(run.training.frac_train, run.training.seed)
    for inputs, index in {"test": split.test, "train": split.train, "all": slice(None)}.items():
        size = np.abs(np.corrcoef(a[:, index]))
        expected = np.mean([size[0, 1], size[0, 2], size[1, 2]])
        row = value(found, "co_usage", "within(v1..v3)", checkpoint="final", inputs=inputs)
        assert row.measured == pytest.approx(expected, abs=1e-4)
        assert row.model is None
    across = value(found, "co_usage", "across(v1..v3,v4..v8)", checkpoint="final")
    assert across.measured == pytest.approx(np.abs(np.corrcoef(a[:, split.test]))[:3, 3:8].mean(), abs=1e-4)
    np.testing.assert_allclose(found.arrays["co_usage.final.pearson"][0], np.corrcoef(a[:8, split.test]), atol=1e-4)


def test_arrays_have_the_shapes_that_figures_expect(findings):
    prefix = "co_usage.final."
    shapes = {k.removeprefix(prefix): v.shape for k, v in findings["shared"].arrays.items() if k.startswith(prefix)}
    assert shapes == {
        "usage": (2, 8), "usage_null": (2, 20),
        "sharedness": (8,), "sharedness_null": (20,),
        "sharedness_normalised": (8,), "sharedness_normalised_null": (20,),
        "pearson": (2, 8, 8), "pearson_null": (2, 10), "spearman": (2, 8, 8), "spearman_null": (2, 10),
    }  # fmt: skip
    assert not any("sharedness" in name for name in findings["single"].arrays)


def test_no_two_rows_are_the_same_number(findings):
    for found in findings.values():
        keys = [(r.task, r.checkpoint, r.inputs, r.statistic, r.direction) for r in found.rows]
        assert len(set(keys)) == len(keys)
        assert all(r.null is not None and r.published is None for r in found.rows)  # tiny runs are not the paper's


def test_it_applies_to_shared_trunks_and_to_single_tasks_that_grok():
    def applies(operation, **changes):
        return CO_USAGE.applies(TrainingConfig(operation=operation, **changes))

    assert all(applies(name) for name in ("add", "sub", "mul", "x2_y2"))
    assert all(applies(name, nonzero=True) for name in ("add+mul+x2_y2", "add+x2_y2", "mul+x2_y2"))
    assert not any([applies("x3_xy"), applies("add", weight_decay=0.0), applies("add", nonzero=True)])


@pytest.mark.parametrize(
    ("changes", "published"),
    [({}, True), ({"seed": 137}, False), ({"operation": "add+x2_y2"}, False), ({"weight_decay": 0.5}, False)],
)
def test_the_paper_s_numbers_go_with_its_own_run(changes, published):
    training = TrainingConfig(**({"operation": "add+mul+x2_y2", "nonzero": True} | changes))
    assert is_published(training, AnalysisConfig()) is published
    assert not is_published(training, AnalysisConfig(stride=10))


def test_published_numbers_are_held_against_held_out_inputs_and_the_paper_s_edge(runs, monkeypatch):
    monkeypatch.setattr(co_usage_study, "is_published", lambda training, config: True)
    at_stop = co_usage_study._CheckpointUsage(runs["shared"], TINY_ANALYSIS, "stop", 60)
    published = {(r.statistic, r.direction, r.inputs): r.published for r in at_stop.task_rows() if r.published}
    assert published == {
        ("sharedness", "mean(v1..v3)", "test"): 0.85,
        ("sharedness", "mean(v4..v8)", "test"): 0.4,
    }


def test_a_first_window_that_is_not_full_is_left_out(runs):
    said = []
    found = CO_USAGE.measure(runs["single"], TINY_ANALYSIS.model_copy(update={"window": 13}), said.append)
    assert found.rows == []
    assert "before the first full window" in said[0]
