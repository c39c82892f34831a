"""The evidence on causes, small: from runs to tables, and the rules on planted numbers."""

import math

import numpy as np
import polars
import pytest
import torch

import spectral_edge as se
from spectral_edge.experiments.causes import (
    KINDS,
    TRAINING_ARMS,
    CausesProtocol,
    causes_answers,
    delays,
    delays_table,
    evidence,
    gather_causes,
    loss_ratios,
    read_causes,
)
from spectral_edge.experiments.causes.own_frequencies import OwnFrequencies
from spectral_edge.store import StoreError
from spectral_edge.subjects import run_folder
from spectral_edge.subjects.trained_run import TrainedRun
from support.planted_causes import planted
from support.tiny_runs import tiny

SMALL = CausesProtocol(
    operations=("add", "mul"), seeds=(1, 2), trained_seeds=(1,), stride=5, window=4, draws=3, bending_draws=2,
    inputs=40, arm_window=8, arm_stride=1, own_frequencies=2,
)  # fmt: skip


def small_run(operation, seed):
    """Stops at step 40, whatever it has learned."""
    return tiny(operation, seed=seed, stop_accuracy=1e-9, stop_patience=8, max_steps=60)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("causes")


@pytest.fixture(scope="module")
def tables(out):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "call_all", lambda calls, jobs, say: [f(*a) for f, *a in calls.values()])
        patch.setattr(evidence, "single_run", small_run)
        steps = {"memorisation": 15, "transition": 20, "stop": 40}
        patch.setattr(TrainedRun, "step_of", lambda run, name, window=20: steps[name])
        patch.setattr("spectral_edge.experiments.causes.training._MEMORISED", -1.0)
        patch.setattr("spectral_edge.experiments.causes.bending.CHECKPOINTS", ("transition", "stop"))
        found = gather_causes(out, protocol=SMALL)
        files = {path: path.stat().st_mtime_ns for path in (out / "measured").iterdir()}
        for name in ("measure_ablation", "measure_steering", "measure_bending", "measure_metric", "measure_arm"):
            patch.setattr(evidence, name, lambda *a: pytest.fail("what is there was done again"))
        gather_causes(out, protocol=SMALL)
        assert {path: path.stat().st_mtime_ns for path in (out / "measured").iterdir()} == files
    return found


def test_every_run_has_its_rows(out, tables):
    assert set(tables) == set(KINDS)
    for kind in ("ablation", "steering"):
        assert set(tables[kind].select("task", "seed").iter_rows()) == {(t, s) for t in ("add", "mul") for s in (1, 2)}
    for kind in ("bending", "metric", "training"):
        assert set(tables[kind].select("task", "seed").iter_rows()) == {("add", 1), ("mul", 1)}
    assert set(tables["training"]["training_arm"]) == set(TRAINING_ARMS)
    controls = {"isotropic", "weights", "span", "blocks", "theta"}
    assert set(tables["steering"]["null"]) == controls
    assert set(tables["ablation"]["null"]) == controls | {"random directions, unmatched"}
    again = read_causes(out, SMALL)
    assert all(again[kind].drop("version").equals(tables[kind].drop("version")) for kind in KINDS)
    with pytest.raises(StoreError, match="protocol"):
        read_causes(out, SMALL.model_copy(update={"draws": 4}))


def test_a_removal_is_what_a_hand_does(out, tables):
    run = TrainedRun.open(run_folder(out, small_run("add", 2)))
    model, parameters = run.model_at(40)
    edge = run.edge(40, 4, 5, True)
    row = tables["ablation"].filter(
        task="add", seed=2, centered=True, is_edge=True, strength=1.0, quantity="loss", null="theta"
    )
    v = edge.directions(row["k"].item()).double()
    theta = parameters.flatten().double()
    moved = theta - (v @ theta) @ v
    pairs = run.task.split(0.5, 2).test
    a, b = torch.from_numpy(run.task.pairs[pairs]).T
    labels = torch.from_numpy(run.task.labels[pairs])

    def loss(values):
        with torch.no_grad():
            for name, value in parameters.unflatten(values.float()).items():
                parameters.parameters[name].copy_(value)
            return torch.nn.functional.cross_entropy(model(a, b), labels).item()

    assert row["baseline"].item() == pytest.approx(loss(theta), rel=1e-5)
    assert row["measured"].item() == pytest.approx(loss(moved), rel=1e-4)
    length = (moved - theta).norm() / theta.norm()
    assert row["share"].item() == pytest.approx(float(length), rel=1e-4)
    assert row["null_mean"].item() == pytest.approx(loss((1 - length) * theta), rel=1e-4)


def test_an_arm_without_a_removal_is_the_run_itself(out, monkeypatch):
    """The arms begin where the run was, and nothing but the removal makes them differ."""
    from spectral_edge.experiments.causes import training

    monkeypatch.setattr(training, "_MEMORISED", -1.0)
    run = TrainedRun.open(run_folder(out, small_run("add", 1)))
    start = training.train_to_memorised(run, SMALL)
    found = start.training()
    assert found.steps == start.begin - 8
    while found.steps < 40:
        found.step()
    assert torch.equal(se.attention_weights(found.model).flatten(), run.weights_at(40))


def test_an_arm_removes_what_it_says(tables):
    arms = {row["training_arm"]: row for row in tables["training"].filter(task="add").iter_rows(named=True)}
    assert all(0 < row["removed_share"] < 1 and 0 < row["removed_drift"] <= 1 for row in arms.values())
    assert all(row["stop"] is not None and row["unchanged_stop"] == 40 for row in arms.values())
    assert arms["edge3"]["removed_share"] > arms["edge"]["removed_share"]


def test_curvatures_are_logarithms_of_positive_numbers_and_nulls_are_shared(tables):
    bent = tables["bending"].filter(task="mul", checkpoint="stop", quantity="log_gauss_newton")
    assert set(bent["direction"]) >= {"v1", "v2", "v1-theta", "theta"}
    isotropic = bent.filter(null="isotropic")
    assert isotropic["null_mean"].n_unique() == 1
    assert np.isfinite(bent["measured"].to_numpy()).all()


def test_own_frequencies_of_logits_that_are_one_wave():
    task = se.ModularTask("add", 13)
    pairs = task.pairs
    angle = 2 * np.pi * (np.arange(13)[None] - task.labels[:, None]) / 13
    wave, other = (torch.from_numpy(np.cos(w * angle)) for w in (3, 5))
    own = OwnFrequencies.of(task, 2 * wave + 0.1 * other, pairs, 1)
    assert own.frequencies == (3,)
    assert own.share(wave) == pytest.approx(1)
    assert own.share(3 * wave + 4 * other) == pytest.approx(9 / 25)
    assert own.share(wave + 5) == pytest.approx(1)  # a softmax does not see what is the same for all candidates
    assert own.log_size(wave) == pytest.approx(0.5 * math.log(0.5))
    # A wave of the answer alone, or of inputs with a sign of their own, has no mean over inputs.
    signs = torch.from_numpy(np.where(np.arange(len(pairs)) % 2 == 0, 1.0, -1.0))[:, None]
    assert own.share(wave * signs) < 0.01


def test_own_frequencies_of_multiplication_are_of_its_logarithm():
    task = se.ModularTask("mul", 13, nonzero=True)
    logs = {pow(2, k, 13): k for k in range(12)}  # 2 generates the residues of 13
    candidate = np.array([logs.get(c, 0) for c in range(13)])
    answer = np.array([logs[int(c)] for c in task.labels])
    wave = torch.from_numpy(np.cos(2 * np.pi * 5 * (candidate[None] - answer[:, None]) / 12))
    own = OwnFrequencies.of(task, wave, task.pairs, 1)
    assert own.frequencies == (5,)
    assert own.share(wave) == pytest.approx(1)


def answers(**planting):
    protocol = CausesProtocol(operations=("add",))
    return [answer.answer for answer in causes_answers(planted(**planting), protocol)["all"]]


def test_answers_follow_what_is_planted():
    quiet, loud = answers(), answers(excess=1.0, delay=0.5, cosine=0.5)
    assert quiet[:4] == ["no", "no", "no", "no"]
    assert quiet[4] == "yes"
    assert set(quiet[5:]) == {"no"}
    assert loud[:5] == ["yes", "yes", "yes", "no", "no"]
    #       v1, v1 without θ, beyond others; v1, v1 to v3, v1 without θ, θ against no change
    assert loud[5:] == ["yes", "no", "yes", "yes", "no", "no"]
    assert answers(excess=-1.0)[2:4] == ["no", "yes"]


def test_arms_of_other_sizes_are_named():
    asked = 5  # whether v1 delays more than other directions
    protocol = CausesProtocol(operations=("add",))
    for share, far in ((0.018, False), (0.022, True), (0.0045, True)):
        because = causes_answers(planted(shares={"span": share}), protocol)["add"][asked].because
        assert (f"span {100 * share:.2g} %" in because) == far


def test_too_few_seeds_decide_nothing(tables):
    found = causes_answers(tables, SMALL)
    assert set(found) == {"all", "add", "mul"}
    assert {answer.answer for answers in found.values() for answer in answers} == {"undecided"}
    assert {answer.n for answer in found["add"]} == {1, 2}
    table = delays_table(polars.DataFrame(planted()["training"]))
    assert set(table["stopped"]) == {8}


def test_an_arm_that_never_stops_counts_to_its_end():
    table = polars.DataFrame(
        {"seed": [1, 2], "training_arm": ["edge"] * 2, "begin": [400, 400], "unchanged_stop": [1400, 1400],
         "stop": [1400, None], "last": [1400, 2800]}
    )  # fmt: skip
    np.testing.assert_allclose(delays(table)["edge"], [0, math.log(2.4)])


def test_ratios_are_of_rises_of_the_loss():
    rows = [
        {"task": "add", "seed": seed, "centered": True, "is_edge": True, "strength": 1.0, "quantity": "loss",
         "null": "isotropic", "baseline": 1.0, "measured": 1 + 6 * scale, "null_mean": 1 + 2 * scale}
        for seed, scale in enumerate((1.0, 2.0, 0.5))
    ]  # fmt: skip
    found = loss_ratios(polars.DataFrame(rows)).row(0, named=True)
    assert (found["n"], found["ratio"]) == (3, pytest.approx(3))
    assert found["low"] == pytest.approx(3)
