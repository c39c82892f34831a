import pytest
import torch

from spectral_edge.store import RunCorruptError, RunDirectory, SchemaError, StoreError
from spectral_edge.subjects import open_run, train_run, training_run


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
