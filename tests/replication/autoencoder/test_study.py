"""The autoencoder study on a tiny run: provenance, its numbers by another way, its export, its rule."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy
import torch

from spectral_edge.grokking import ModularTask, TrainingConfig
from spectral_edge.replication.autoencoder.study import AUTOENCODER, export_autoencoder
from spectral_edge.replication.study import _summary
from spectral_edge.representation import SparseAutoencoder
from spectral_edge.store import Analysis, ClaimRow, NullSummary, StoreError
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS

NULLS = ["random_directions", "angle_matched", "fixed_angle", "combinatorial", "random_features"]


@pytest.fixture(scope="module")
def run(trained):
    return TrainedRun.open(trained["add"])


@pytest.fixture(scope="module")
def found(run):
    return AUTOENCODER.measure(run, TINY_ANALYSIS, lambda _: None)


def only(findings, statistic, **fields):
    rows = [r for r in findings.rows if r.statistic == statistic and all(getattr(r, k) == v for k, v in fields.items())]
    assert len(rows) == 1, (statistic, fields)
    return rows[0]


def test_every_row_says_where_it_comes_from(found):
    for row in found.rows:
        assert (row.claim, row.task, row.seed, row.weight_decay) == ("C5", "add", 42, 1.0)
        assert (row.checkpoint, row.step, row.published) == ("final", 60, None)
    jaccards = [row for row in found.rows if row.statistic == "jaccard"]
    assert [row.direction for row in jaccards] == ["v1,v2", "v1,v3", "v2,v3", "mean(v1..v3)"]
    for row in jaccards:
        assert (row.method, row.relative_epsilon, row.inputs) == ("jvp", 0.005, "test")
        nulls = [row.null, *row.further_nulls]
        assert [null.kind for null in nulls] == NULLS
        assert [null.n for null in nulls] == [6, 6, 6, 999, 20]  # 20 directions make six triples
        assert {null.alternative for null in nulls} == {"greater"}


def test_overlaps_are_those_of_the_stored_effects(found):
    effects = found.arrays["autoencoder.effects"]
    sets = [set(sorted(range(64), key=lambda feature: -row[feature])[:20]) for row in effects]
    by_pair = {
        f"v{i + 1},v{j + 1}": len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in [(0, 1), (0, 2), (1, 2)]
    }
    for direction, jaccard in by_pair.items():
        assert only(found, "jaccard", direction=direction).measured == pytest.approx(jaccard)
    mean = only(found, "jaccard", direction="mean(v1..v3)")
    assert mean.measured == pytest.approx(np.mean(list(by_pair.values())))
    draws = found.arrays["autoencoder.jaccard_random_directions"].mean(1)
    assert mean.null.pvalue == pytest.approx(((draws >= mean.measured - 1e-6).sum() + 1) / 7)


def test_effects_are_those_of_the_stored_autoencoder(found, run):
    autoencoder = rebuilt(found)
    model, parameters = run.model_at(60)
    task = ModularTask("add", 13)
    pairs = torch.from_numpy(task.pairs[task.split(0.5, 42).test])

    def features():
        with torch.no_grad():
            return autoencoder.encode(model(pairs[:, 0], pairs[:, 1], return_residual=True)[1])

    before, theta = features(), parameters.flatten()
    v2 = run.edge(60, 9, 5, center=True).directions(2)[1]
    sizes = []
    for sign in (1, -1):
        moved = parameters.unflatten(theta + sign * 0.005 * theta.norm() * v2)
        model.load_state_dict(model.state_dict() | moved)
        sizes.append((features() - before).abs().mean(0))
    expected = ((sizes[0] + sizes[1]) / 2).numpy()
    effects = found.arrays["autoencoder.effects"][1]
    # Which of two nearly equal features is among the first four of an input is a matter of rounding.
    assert np.isclose(effects, expected, rtol=0.02, atol=1e-5).mean() > 0.9
    assert effects.sum() == pytest.approx(expected.sum(), rel=0.01)


def test_the_autoencoder_is_judged(found, run):
    assert only(found, "accuracy").measured == pytest.approx(run.metrics[-1]["test_accuracy"])
    trained, left_out = (only(found, "explained_variance", grouping=g) for g in ("trained on", "left out"))
    assert 0.5 < left_out.measured < trained.measured < 1
    assert trained.null.kind == "random_features"
    assert trained.measured > trained.null.mean
    assert only(found, "explained_variance_pca").measured < 1
    assert 0 <= only(found, "dead_features").measured < 0.5
    assert 0 < only(found, "l0").measured <= 4
    task = ModularTask("add", 13)
    test = task.split(0.5, 42).test
    model, _ = run.model_at(60)
    pairs = torch.from_numpy(task.pairs[test])
    with torch.no_grad():
        stream = model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]
        answers = model.head(model.ln(rebuilt(found)(stream))).argmax(1).numpy()
    assert only(found, "accuracy_spliced").measured == pytest.approx((answers == task.labels[test]).mean())


def test_edge_directions_are_at_right_angles(found):
    for direction in ("v1,v2", "v1,v3", "v2,v3"):
        assert only(found, "parameter_angle", direction=direction).measured == pytest.approx(90, abs=0.1)
        assert 0 < only(found, "response_angle", direction=direction).measured < 180


def rebuilt(found):
    autoencoder = SparseAutoencoder(16, 64, 4).requires_grad_(False)
    autoencoder.load_state_dict(
        {name: torch.from_numpy(found.arrays[f"autoencoder.{name}"]) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    )
    return autoencoder


def test_export_in_the_layout_of_sae_lens(found, run, tmp_path):
    analysis = Analysis(found.rows, _summary(run, TINY_ANALYSIS, found, {}), found.arrays)
    export_autoencoder(analysis, tmp_path / "sae")
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert (config["architecture"], config["d_in"], config["d_sae"], config["k"]) == ("topk", 16, 64, 4)
    assert config["metadata"]["run_id"] == run.config.run_id
    stored = safetensors.numpy.load_file(tmp_path / "sae" / "sae_weights.safetensors")
    np.testing.assert_array_equal(stored["W_enc"], found.arrays["autoencoder.W_enc"])
    with pytest.raises(StoreError, match=re.escape("W_dec")):
        export_autoencoder(Analysis([], analysis.summary, {}), tmp_path / "none")


def test_which_runs_it_is_for():
    assert AUTOENCODER.applies(TrainingConfig(operation="sub"))
    for other in (
        {"operation": "x3_xy"},
        {"operation": "add", "weight_decay": 0.0},
        {"operation": "add", "nonzero": True},
        {"operation": "add+mul", "nonzero": True},
    ):
        assert not AUTOENCODER.applies(TrainingConfig(**other))


def row(statistic, measured, **fields):
    null = NullSummary(
        kind="random_directions", n=66, mean=0.5, std=0.1, quantile95=0.6, alternative="greater", pvalue=0.9
    )
    return ClaimRow(
        claim="C5", task="add", checkpoint="stop", statistic=statistic, measured=measured, null=null, **fields
    )
