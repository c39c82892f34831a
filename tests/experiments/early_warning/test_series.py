import numpy as np
import pytest
import torch

from spectral_edge.experiments.early_warning import WarningConfig, second_runs, statistics_of, sweep_runs, watch_runs
from spectral_edge.experiments.early_warning.series import _of_spectrum
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import run_folder, train_run
from support.tiny_runs import tiny

CONFIG = WarningConfig(step_window=4, window=5, stride=5, memorised_accuracy=0.1, event_accuracy=0.02)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("watched")
    paths = []
    for config in (tiny(), tiny(max_steps=45)):
        paths.append(run_folder(out, config))
        train_run(paths[-1], config)
    return paths


def test_a_run_has_every_quantity_that_is_watched(runs):
    (watched,) = watch_runs(runs[:1], CONFIG)
    assert set(watched.quantities) == {s.key for s in statistics_of(CONFIG) if s.quantity != "steps_since_armed"}
    assert watched.quantities["g23", 5][0].tolist() == list(range(25, 61, 5))  # the first window of five ends at 25
    assert watched.quantities["g23", 1][0].tolist() == list(range(5, 61, 5))
    assert (watched.operation, watched.p, watched.seed, watched.steps) == ("add", 13, 42, 60)


def test_quantities_are_those_of_the_updates_themselves(runs):
    (watched,) = watch_runs(runs[:1], CONFIG)
    run = TrainedRun.open(runs[0])
    thetas = torch.stack([run.weights_at(step) for step in range(20, 46, 5)]).double()
    edge = np.linalg.svd(np.diff(thetas.numpy(), axis=0), compute_uv=False)
    at = {name: values[steps == 45][0] for (name, stride), (steps, values) in watched.quantities.items() if stride == 5}
    share = edge**2 / (edge**2).sum()
    assert at["g23"] == pytest.approx(edge[1] ** 2 - edge[2] ** 2, rel=1e-6)
    assert at["gap_ratio"] == pytest.approx(edge[0] / edge[1], rel=1e-6)
    assert at["effective_rank"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-6)
    assert at["edge_position"] == np.argmax(edge[:-1] ** 2 / edge[1:]) + 1
    assert at["update_norm"] == pytest.approx((edge**2).mean(), rel=1e-6)
    every = torch.cat([t.flatten() for t in run.run.read_snapshot(45).values()]).double()
    steps, norms = watched.quantities["weight_norm", None]
    assert norms[steps == 45][0] == pytest.approx(float(every.norm()), rel=1e-6)
    recorded = next(line["singular_values"] for line in run.metrics if line["step"] == 45)
    steps, ratios = watched.quantities["gap_ratio", 1]
    assert ratios[steps == 45][0] == pytest.approx(recorded[0] / recorded[1], rel=1e-6)


def test_a_shorter_run_shows_the_same_up_to_its_end(runs):
    """Reading looks at nothing that comes later: the same training, stopped at 45, gives the same values."""
    long, short = watch_runs(runs, CONFIG)
    for key, (steps, values) in short.quantities.items():
        kept = long.quantities[key][0] <= 45
        assert long.quantities[key][0][kept].tolist() == steps.tolist()
        np.testing.assert_allclose(long.quantities[key][1][kept], values, rtol=1e-9, err_msg=str(key))


def test_landmarks_are_the_first_evaluations_past_a_bound(runs):
    (watched,) = watch_runs(runs[:1], CONFIG)
    metrics = TrainedRun.open(runs[0]).metrics
    assert watched.memorised_step == next(m["step"] for m in metrics if m["train_accuracy"] >= 0.1)
    assert watched.transition_step == next(m["step"] for m in metrics if m["test_accuracy"] > 0.02)
    assert watched.grok_step is None
    (never,) = watch_runs(runs[:1], CONFIG.model_copy(update={"event_accuracy": 0.99, "memorised_accuracy": 0.99}))
    assert (never.memorised_step, never.transition_step) == (None, None)


def test_what_a_run_is_too_short_for_is_left_out(runs):
    said = []
    (watched,) = watch_runs(runs[1:], CONFIG.model_copy(update={"window": 10}), said.append)
    assert ("g23", 5) not in watched.quantities
    assert ("g23", 1) in watched.quantities
    assert said == [f"1 of 1 runs read: {runs[1].name}"]


def test_the_sweep_and_the_second_set_are_those_of_the_protocol():
    sweep, second = sweep_runs(), second_runs()
    cells = {(r.training.operation, r.training.weight_decay, r.training.seed) for r in sweep}
    assert len(sweep) == len(cells) == 6 * 2 * 3
    assert not any(r.training.nonzero or "+" in r.training.operation for r in sweep)
    assert len(second) == 60
    assert not {r.run_id for r in sweep} & {r.run_id for r in second}
    assert {r.training.weight_decay for r in second} == {1.0}
    assert {r.training.eval_every for r in (*sweep, *second)} == {100}


def test_a_window_of_low_rank_has_an_edge():
    found = _of_spectrum(np.array([[3.0, 2.0, 0.0, 0.0], [3.0, 1.0, 0.5, 0.1]]))
    assert found["edge_position"].tolist() == [2.0, 1.0]  # its rank; and where σ_j²/σ_(j+1) is largest: 9, 2, 2.5
