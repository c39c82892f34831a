"""Seeds trained in lockstep leave the run directories that they leave alone."""

import pytest
import torch

from spectral_edge.subjects import open_run, train_run, train_runs, training_run


def together(folder, configs):
    return [(folder / f"run{i}", config) for i, config in enumerate(configs)]


def assert_same_run(one, other):
    """Equal to rounding: at this size a batched matrix product is another algorithm than a single one."""
    assert one.snapshot_steps() == other.snapshot_steps()
    for line, expected in zip(one.metrics(), other.metrics(), strict=True):
        assert line.keys() == expected.keys()
        assert line["test_accuracies"] == pytest.approx(expected["test_accuracies"], abs=0.03)
        for name in ("step", "train_loss", "test_loss", "singular_values"):
            assert line[name] == pytest.approx(expected[name], rel=1e-3)
    last = one.snapshot_steps()[-1]
    for name, tensor in one.read_snapshot(last).items():
        torch.testing.assert_close(tensor, other.read_snapshot(last)[name], rtol=1e-2, atol=1e-4)


def test_seeds_in_lockstep_are_the_runs_they_are_alone(tmp_path, tiny_config):
    configs = [tiny_config(seed=42), tiny_config(seed=137, max_steps=40), tiny_config("sub", seed=2024)]
    runs = train_runs(together(tmp_path / "together", configs))
    for i, config in enumerate(configs):
        alone = train_run(tmp_path / f"alone{i}", config)
        assert alone.status["state"] == runs[i].status["state"] == "finished"
        assert_same_run(runs[i], alone)


def test_interrupted_they_continue_each_from_its_own_checkpoint(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(training_run, "_CHECKPOINT_EVERY", 10)
    configs = [tiny_config(seed=42), tiny_config(seed=137)]
    runs = together(tmp_path / "killed", configs)

    def interrupt(status):
        if status["step"] == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_runs(runs, interrupt)
    train_run(*runs[0])  # goes ahead alone: the next call finds one run finished and one at a checkpoint
    continued = train_runs(runs)
    for run, (_, config), whole in zip(continued, runs, ("a", "b"), strict=True):
        assert_same_run(run, train_run(tmp_path / whole, config))


def test_one_that_diverges_does_not_take_the_others_with_it(tmp_path, tiny_config):
    runs = together(tmp_path, [tiny_config(learning_rate=1e30), tiny_config()])
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train_runs(runs)
    assert [open_run(path)[0].status["state"] for path, _ in runs] == ["failed", "finished"]


def test_what_cannot_be_trained_together_is_refused(tmp_path, tiny_config):
    one, other = tiny_config(), tiny_config(seed=1).model_copy(update={"threads": 2})
    with pytest.raises(ValueError, match="same threads"):
        train_runs(together(tmp_path, [one, other]))
    with pytest.raises(ValueError, match="must agree in d_mlp"):
        train_runs(together(tmp_path, [one, tiny_config(d_mlp=8)]))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="given twice"):
        train_runs([(tmp_path / "same", one), (tmp_path / "same", one)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not there")
def test_a_device_that_is_not_there_is_named_before_anything_is_written(tmp_path, tiny_config):
    with pytest.raises(ValueError, match=r"device cuda: .* has none; choose cpu"):
        train_run(tmp_path / "run", tiny_config().model_copy(update={"device": "cuda"}))
    assert not (tmp_path / "run").exists()
