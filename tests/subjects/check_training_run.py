"""Training processes that are killed, or meet another on their run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spectral_edge.store import RunLockedError
from spectral_edge.subjects import train_run, training_run
from support.tiny_runs import contents

SCRIPT = Path(__file__).parents[1] / "support" / "train_slowly.py"


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
