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
    UNMATCHED,
    CausesProtocol,
    arms_of,
    causes_answers,
    delays_table,
    evidence,
    gather_causes,
    loss_ratios,
    training,
)
from spectral_edge.experiments.causes.own_frequencies import OwnFrequencies
from spectral_edge.experiments.causes.watched import Watched
from spectral_edge.intervention.subspaces import Fixed
from spectral_edge.replication.decision.tables import read_table
from spectral_edge.store import StoreError
from spectral_edge.subjects import run_folder
from spectral_edge.subjects.trained_run import TrainedRun
from support.planted_causes import planted
from support.tiny_runs import tiny

SMALL = CausesProtocol(
    operations=("add", "mul"), seeds=(1, 2), trained_seeds=(1,), stride=5, window=4, draws=3, bending_draws=2,
    inputs=40, arm_window=10, arm_stride=1, strengths=(0.5, 1.0),
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
    assert set(tables["ablation"]["moved"]) == {"removed", "v1 without θ"}
    controls = {"isotropic", "weights", "span", "blocks", "theta"}
    assert set(tables["steering"]["null"]) == controls
    assert set(tables["ablation"]["null"]) == controls | {UNMATCHED}
    for kind in KINDS:
        again = read_table(out / f"{kind}.parquet", SMALL)
        assert again.drop("version").equals(tables[kind].drop("version"))
    with pytest.raises(StoreError, match="protocol"):
        read_table(out / "metric.parquet", SMALL.model_copy(update={"draws": 4}))


def test_a_removal_is_what_a_hand_does(out, tables):
    run = TrainedRun.open(run_folder(out, small_run("add", 2)))
    model, parameters = run.model_at(40)
    edge = run.edge(40, 4, 5, True)
    row = tables["ablation"].filter(
        task="add",
        seed=2,
        centered=True,
        is_edge=True,
        strength=1.0,
        quantity="log_loss",
        null="theta",
        moved="removed",
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

    assert math.exp(row["baseline"].item()) == pytest.approx(loss(theta), rel=1e-5)
    assert math.exp(row["measured"].item()) == pytest.approx(loss(moved), rel=1e-4)
    length = (moved - theta).norm() / theta.norm()
    assert row["share"].item() == pytest.approx(float(length), rel=1e-4)
    assert math.exp(row["null_mean"].item()) == pytest.approx(loss((1 - length) * theta), rel=1e-4)


def test_arms_begin_from_one_state_which_is_the_runs(out, monkeypatch):
    """Nothing but the removal makes arms differ: a training that goes on changes nothing for the next."""
    monkeypatch.setattr(training, "_MEMORISED", -1.0)
    run = TrainedRun.open(run_folder(out, small_run("add", 1)))
    start = training.train_to_memorised(run, SMALL)
    for _ in range(2):
        found = start.training()
        assert found.steps == start.begin - 10
        while found.steps < 40:
            found.step()
        start.check(found)
        assert torch.equal(se.attention_weights(found.model).flatten(), run.weights_at(40))


def test_an_arm_removes_what_it_says(tables):
    curves = tables["training"].filter(task="add")
    arms = {row["training_arm"]: row for row in arms_of(curves).iter_rows(named=True)}
    assert set(arms) == set(TRAINING_ARMS)
    assert all(0 < row["removed_share"] < 1 and 0 < row["removed_drift"] <= 1 for row in arms.values())
    assert all(row["stop"] is not None and row["unchanged_stop"] == 40 for row in arms.values())
    assert arms["edge3"]["removed_share"] > arms["edge"]["removed_share"]
    norms = {arm: part.sort("step")["norm"].to_list() for (arm,), part in curves.group_by("training_arm")}
    begins = curves.filter(polars.col("step") == polars.col("begin"))
    assert set(begins["share"]) == {0.0}
    assert begins["norm"].n_unique() == 1
    later = [abs(np.diff(values)).max() for values in norms.values()]
    assert max(later) > 0
    # Without updates along θ the norm moves by second order only.
    moves = {arm: abs(values[-1] - values[0]) for arm, values in norms.items()}
    assert moves["theta"] < 0.2 * moves["span_across"]


def test_what_is_taken_out_is_watched():
    """Two updates, half of each along the first axis: shares by hand."""
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    parameters = se.ParameterSubset(dict(layer.named_parameters()))
    fixed = Fixed(torch.tensor([[1.0, 0.0]]))
    seen = Watched(fixed, 1, parameters, SMALL)
    assert seen.directions(parameters.flatten()) is None
    seen.saw(torch.tensor([5.0, 5.0]), 1)  # before anything is taken out
    for step, update in ((2, [1.0, 1.0]), (3, [1.0, -1.0])):
        assert seen.directions(parameters.flatten()) is not None
        seen.saw(torch.tensor(update), step)
    found = seen.take()
    assert (found["share"], found["drift"]) == (0.5, 1.0)  # the second axis goes back and forth
    assert found["cosine_theta"] == pytest.approx(0.6)
    assert found["cosine_before"] is None
    assert (seen.share, seen.drift) == (0.5, 1.0)
    assert seen.take()["cosine_before"] == pytest.approx(1)


def test_curvatures_are_logarithms_of_positive_numbers_and_nulls_are_shared(tables):
    bent = tables["bending"].filter(task="mul", checkpoint="stop", quantity="log_gauss_newton")
    assert set(bent["direction"]) >= {"v1", "v2", "v1-theta", "theta"}
    isotropic = bent.filter(null="isotropic")
    assert isotropic["null_mean"].n_unique() == 1
    assert isotropic["drawn"].list.len().to_list() == [2] * len(isotropic)
    assert np.isfinite(bent["measured"].to_numpy()).all()


def test_own_frequencies_of_logits_that_are_one_wave():
    task = se.ModularTask("add", 13)
    pairs = task.pairs
    angle = 2 * np.pi * (np.arange(13)[None] - task.labels[:, None]) / 13
    wave, other = (torch.from_numpy(np.cos(w * angle)) for w in (3, 5))
    own = OwnFrequencies.of(task, 2 * wave + 0.1 * other, pairs, 0.9)
    assert own.frequencies == (3,)
    assert own.share(wave) == pytest.approx(1)
    assert own.share(3 * wave + 4 * other) == pytest.approx(9 / 25)
    assert OwnFrequencies.of(task, wave + other, pairs, 0.9).frequencies == (3, 5)
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
    own = OwnFrequencies.of(task, wave, task.pairs, 0.9)
    assert own.frequencies == (5,)
    assert own.share(wave) == pytest.approx(1)


PROTOCOL = CausesProtocol(operations=("add",))
ASKED = [answer.question for answer in causes_answers(planted(), PROTOCOL)["add"]]
TAKEN = next(i for i, question in enumerate(ASKED) if question.startswith("taking"))


def answers(**planting):
    return [answer.answer for answer in causes_answers(planted(**planting), PROTOCOL)["all"]]


def test_answers_follow_what_is_planted():
    assert ASKED.count("removing the edge raises the loss more than a step of its length") == 1
    quiet, loud, under = answers(), answers(excess=1.0, delay=0.5, cosine=0.5), answers(excess=-1.0)
    same = ASKED.index("v1 is the same direction in the optimizer's metric")
    assert quiet == ["no"] * same + ["yes"] + ["no"] * (len(ASKED) - same - 1)
    for question, high, low in zip(ASKED[:same], loud, under, strict=False):
        assert (high, low) == (("no", "yes") if " less " in question else ("yes", "no"))
    assert loud[same] == "no"
    #       v1, v1 without θ, beyond others; v1, v1 to v3, v1 without θ, θ against no change
    assert loud[TAKEN:] == ["yes", "no", "yes", "yes", "no", "no"]


def test_a_control_that_took_out_little_makes_no_yes():
    for drift, answer in ((0.06, "yes"), (0.04, "undecided")):
        assert answers(delay=0.5, drifts={"span": drift, "rest": drift})[TAKEN] == answer
    assert answers(drifts={"span": 0.04, "rest": 0.04})[TAKEN] == "no"


def test_arms_that_never_stop_decide_nothing():
    """Of both, the difference is 0 whatever would have come; of the control alone it is too large."""
    assert answers(stuck={"edge": {1}, "span": {1}, "rest": {1}})[TAKEN] == "undecided"
    alone = answers(delay=1.5, stuck={"span": {2}})
    assert alone[TAKEN] == "undecided", "also where another control is the strongest"
    assert answers(delay=0.5, stuck={"edge": {1, 2, 3}})[TAKEN + 2] == "yes"  # a lower bound is enough for a yes
    assert answers(stuck={"span": {2}})[TAKEN] == "no"  # and an upper bound of the difference for a no
    once = planted(stuck={"edge": {1}})
    later = {"last": 1500.0, "unchanged_stop": 750.0}  # so that its delay is small, though it has no end
    endless = once["training"].with_columns(
        polars.when(polars.col("stop").is_null()).then(polars.lit(value)).otherwise(polars.col(name)).alias(name)
        for name, value in (later | {"unchanged_stop": 1500.0}).items()
    )
    found = causes_answers({**once, "training": endless}, PROTOCOL)["add"]
    assert [found[TAKEN].answer, found[TAKEN + 2].answer] == ["undecided", "undecided"]


def test_an_arm_that_diverged_did_not_generalise_early():
    found = {row["seed"]: row for row in arms_of(planted(diverged={"edge": {1}})["training"]).iter_rows(named=True)
             if row["training_arm"] == "edge"}  # fmt: skip
    assert found[1]["censored"]
    assert found[1]["delay"] == pytest.approx(math.log(2.4))  # to twice the stop of the unchanged run
    assert answers(diverged={"edge": {1}})[TAKEN : TAKEN + 3 : 2] == ["undecided", "undecided"]


def test_a_seed_without_an_arm_is_left_out():
    tables = planted()
    for arm in ("edge", "span"):
        kept = ~((polars.col("training_arm") == arm) & (polars.col("seed") == 3))
        found = causes_answers({**tables, "training": tables["training"].filter(kept)}, PROTOCOL)["add"]
        assert found[TAKEN].n == 7


def test_a_seed_without_a_control_is_left_out():
    tables = planted()
    kept = ~((polars.col("null") == "weights") & (polars.col("seed") == 3))
    found = causes_answers({**tables, "bending": tables["bending"].filter(kept)}, PROTOCOL)["add"]
    assert {answer.n for answer in found if "bends" in answer.question} == {7}


def test_of_all_tasks_the_one_that_decides_lends_its_numbers():
    parts = [planted(task="add", excess=1.0), planted(task="mul", excess=0.2), planted(task="sub", excess=0.1)]
    tables = {kind: polars.concat([part[kind] for part in parts]) for kind in parts[0]}
    found = causes_answers(tables, CausesProtocol(operations=("add", "mul", "sub")))
    first = found["all"][0]
    assert (first.answer, first.effect) == ("no", found["sub"][0].effect)
    assert first.because == "add yes, mul no, sub no"


def test_too_few_seeds_decide_nothing(tables):
    found = causes_answers(tables, SMALL)
    assert set(found) == {"all", "add", "mul"}
    assert {answer.answer for answers in found.values() for answer in answers} == {"undecided"}
    assert {answer.n for answer in found["add"]} == {1, 2}


def test_an_arm_that_never_stops_counts_to_its_end():
    table = polars.DataFrame(
        {"task": "add", "seed": [1, 2], "training_arm": ["edge"] * 2, "begin": [400, 400],
         "unchanged_stop": [1400, 1400], "stop": [1400, None], "last": [1400, 2800], "removed_share": 0.1,
         "removed_drift": 0.2, "diverged": False, "step": 400, "norm": 2.0, "cosine_theta": 0.1, "cosine_before": 0.2,
         "cosine_done": 0.3}
    )  # fmt: skip
    np.testing.assert_allclose(arms_of(table)["delay"], [0, math.log(2.4)])
    row = delays_table(table).row(0, named=True)
    assert (row["n"], row["stopped"], row["delay"]) == (2, 1, pytest.approx(2.4**0.5))


def test_ratios_are_of_rises_of_the_loss_which_may_be_negative():
    rises = {1: (6.0, 2.0), 2: (-0.1, 0.5), 3: (12.0, 3.0)}
    rows = [
        {"task": "add", "seed": seed, "centered": True, "is_edge": True, "strength": 1.0, "quantity": "log_loss",
         "moved": "removed", "null": null, "baseline": 0.0, "measured": math.log(1 + edge),
         "null_mean": math.log(1 + control * sign)}
        for seed, (edge, control) in rises.items() for null, sign in (("isotropic", 1), (UNMATCHED, -1e-3))
    ]  # fmt: skip
    matched, published = loss_ratios(polars.DataFrame(rows)).iter_rows(named=True)
    assert (matched["n"], matched["ratio"], matched["rise"]) == (3, pytest.approx(3), pytest.approx(6))
    assert (matched["lower_quartile"], matched["upper_quartile"]) == pytest.approx((1.4, 3.5))  # of -0.2, 3 and 4
    assert (published["ratio"], published["control_rise"]) == pytest.approx((3000, -0.002))
