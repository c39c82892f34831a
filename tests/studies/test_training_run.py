import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spectral_edge.store import RunCorruptError, RunDirectory, RunLockedError, SchemaError, StoreError
from spectral_edge.studies import open_run, train_run, training_run

SCRIPT = Path(__file__).parents[1] / "support" / "train_slowly.py"


def contents(path):
    """Every file of a run that the result consists of."""
    left_out = {"status.json", "environment.json", "lock"}
    return {
        f.relative_to(path): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file() and f.name not in left_out
    }


def start(path, config_file):
    return subprocess.Popen([sys.executable, str(SCRIPT), str(path), str(config_file)], stderr=subprocess.PIPE)


def test_a_run_killed_again_and_again_ends_bitwise_as_if_never_interrupted(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(training_run, "_CHECKPOINT_EVERY", 10)
    train_run(tmp_path / "whole", tiny_config())
    config_file = tmp_path / "config.json"
    config_file.write_text(tiny_config().model_dump_json())
    rng = random.Random(0)
    killed = 0
    while True:
        process = start(tmp_path / "killed", config_file)
        seen, deadline = set(), time.monotonic() + 60
        status = tmp_path / "killed" / "status.json"
        lines = rng.randint(2, 5)  # evaluations to let pass before the kill
        while process.poll() is None and len(seen) < lines and time.monotonic() < deadline:
            if status.exists():
                seen.add(status.stat().st_mtime_ns)
            time.sleep(0.002)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read().decode()
            break
        time.sleep(rng.random() * 0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed += 1
    assert killed >= 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_finished_run_is_not_computed_again(trained, tiny_config, monkeypatch):
    monkeypatch.setattr(training_run, "_record", lambda *_: pytest.fail("trained again"))
    before = {f: f.stat().st_mtime_ns for f in trained["add"].rglob("*") if f.name != "lock"}
    train_run(trained["add"], tiny_config("add"))
    assert before == {f: f.stat().st_mtime_ns for f in trained["add"].rglob("*") if f.name != "lock"}


def test_the_trajectory_has_every_parameter_at_every_evaluation(trained, tiny_config):
    run, config = open_run(trained["add"])
    assert config == tiny_config("add")
    assert run.snapshot_steps() == list(range(0, 65, 5))
    assert set(run.read_snapshot(5)) >= {"tok_emb.weight", "head.bias", "encoder.layers.1.self_attn.in_proj_weight"}
    metrics = run.metrics()
    assert [line["step"] for line in metrics] == list(range(5, 65, 5))
    assert all(len(line["singular_values"]) == 4 for line in metrics)


def test_recorded_spectra_are_those_of_an_independent_replay(trained, tiny_config):
    from spectral_edge.grokking import Training
    from spectral_edge.parameters import attention_weights

    training = Training(tiny_config("add").training)
    subset = attention_weights(training.model)
    theta = [subset.flatten()]
    for _ in range(20):
        training.step()
        theta.append(subset.flatten())
    updates = (torch.stack(theta)[1:] - torch.stack(theta)[:-1])[-4:].double()
    line = next(line for line in open_run(trained["add"])[0].metrics() if line["step"] == 20)
    assert line["singular_values"] == pytest.approx(torch.linalg.svdvals(updates).tolist(), rel=1e-5)


def test_divergence_is_reported_and_marks_the_run(tmp_path, tiny_config):
    with pytest.raises(FloatingPointError, match=r"diverged at step \d+.*lower the learning rate"):
        train_run(tmp_path / "run", tiny_config(learning_rate=1e30))
    assert RunDirectory.open(tmp_path / "run").status["state"] == "failed"


def test_two_processes_on_one_run_the_second_names_the_first(tmp_path, tiny_config):
    config_file = tmp_path / "config.json"
    config_file.write_text(tiny_config(max_steps=100_000).model_dump_json())
    process = start(tmp_path / "run", config_file)
    try:
        while not (tmp_path / "run" / "status.json").exists():
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        with pytest.raises(RunLockedError, match=str(process.pid)):
            train_run(tmp_path / "run", tiny_config(max_steps=100_000))
    finally:
        process.kill()
        process.wait()


def test_another_configuration_is_refused(trained, tiny_config):
    with pytest.raises(StoreError, match="operation"):
        train_run(trained["add"], tiny_config("sub"))


def test_damage_is_named(tmp_path, tiny_config):
    path = tmp_path / "run"
    train_run(path, tiny_config())
    snapshot = sorted((path / "trajectory").iterdir())[3]
    data = bytearray(snapshot.read_bytes())
    data[-1] ^= 1
    snapshot.write_bytes(data)
    with pytest.raises(RunCorruptError, match=snapshot.name):
        open_run(path)[0].read_snapshot(15)
    config = path / "config.json"
    config.write_text(config.read_text().replace('"schema": 1', '"schema": 9').replace('"schema":1', '"schema":9'))
    with pytest.raises(SchemaError, match="9"):
        open_run(path)


def test_an_output_path_that_is_a_file_is_refused(tmp_path, tiny_config):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StoreError, match="file"):
        train_run(tmp_path / "file", tiny_config())
    assert (tmp_path / "file").read_text() == "precious"


def test_a_run_killed_before_its_last_status_is_finished_by_the_next_call(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(training_run, "_CHECKPOINT_EVERY", 10)  # 60 steps: a checkpoint at the very last one
    path = tmp_path / "run"
    run = train_run(path, tiny_config())
    finished = run.status
    run.write_status({**finished, "state": "running", "step": 55})
    assert train_run(path, tiny_config()).status == {**finished, "steps_per_second": finished["steps_per_second"]}


@pytest.mark.parametrize("eval_every", [7, 15])
def test_checkpoints_do_not_need_to_divide_evaluations(tmp_path, tiny_config, monkeypatch, eval_every):
    monkeypatch.setattr(training_run, "_CHECKPOINT_EVERY", 10)
    run = train_run(tmp_path / "run", tiny_config(eval_every=eval_every))
    assert run.latest_checkpoint()[0] >= 45


def test_an_impossible_configuration_writes_nothing(tmp_path, tiny_config):
    with pytest.raises(ValueError, match="not divisible"):
        train_run(tmp_path / "run", tiny_config(n_heads=3))
    with pytest.raises(ValueError, match="x2_y2"):
        train_run(tmp_path / "run", tiny_config("x2_y3"))
    assert not (tmp_path / "run").exists()


def test_an_edited_configuration_is_named(tmp_path, tiny_config):
    path = tmp_path / "run"
    train_run(path, tiny_config())
    config = path / "config.json"
    config.write_text(config.read_text().replace("add", "adds").replace('"p": 13', '"p": 2').replace('"p":13', '"p":2'))
    with pytest.raises(RunCorruptError, match=r"config.json: training.p"):
        open_run(path)


def test_kept_updates_are_those_before_the_transition_and_the_stop_and_survive_a_kill(tmp_path, tiny_config):
    settings = {"stop_accuracy": 0.01, "stop_patience": 2, "max_steps": 1100, "min_steps": 1100}
    training = tiny_config("x2_y2", **settings, eval_every=100)
    config = training.model_copy(update={"window": 6, "keep_updates": True})
    run = train_run(tmp_path / "whole", config)
    stop = next(step for step in run.update_steps() if step >= 200)
    kept = run.read_updates(stop)
    assert {name: tuple(rows.shape) for name, rows in kept.items()} == {
        "stride1": (6, 4 * 16 * 16 * 2),
        "stride10": (6, 4 * 16 * 16 * 2),
    }
    gram = kept["stride1"].double() @ kept["stride1"].double().T
    line = next(line for line in run.metrics() if line["step"] == stop)
    assert torch.tensor(line["gram_matrix"], dtype=torch.float64).allclose(gram)
    # 60 steps in updates of 10 end at the stop; the last 6 single steps lie within the last of them
    assert kept["stride10"][-1].norm() > kept["stride1"][-1].norm()

    class Killed(Exception):
        pass

    def kill(status):
        if status["step"] == 700:
            raise Killed

    with pytest.raises(Killed):
        train_run(tmp_path / "killed", config, kill)
    resumed = train_run(tmp_path / "killed", config)
    for name in ("metrics.jsonl", "index.jsonl", "updates.jsonl"):
        assert (resumed.path / name).read_bytes() == (run.path / name).read_bytes(), name
