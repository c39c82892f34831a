"""Sweeps small enough for tests, and what several of these look at."""

import subprocess
import sys
import time
from pathlib import Path

from spectral_edge.replication.sweep import SweepSpec
from spectral_edge.store import RunDirectory, StoreError, read_lock
from support.tiny_runs import TINY

# Checkpoints at 500 and 1000 steps, seconds apart: long enough to be killed in between.
LONG = {"max_steps": 1200, "eval_every": 100}
KILL_AFTER = 700
CHECKPOINT = 500


def tiny_spec(**parts):
    parts["base"] = TINY | {"window": 4} | parts.get("base", {})
    return SweepSpec(**parts)


def written(spec, path):
    path.write_text(spec.model_dump_json(exclude_defaults=True))
    return path


def command(*arguments, **options):
    """Start ``spectral-edge`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "spectral_edge.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def until(condition, what, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value


def step_of(path):
    try:
        return RunDirectory.open(path).status.get("step", 0)
    except StoreError:
        return 0


def holder_in_mid_run(path):
    """The process that trains the run, once it is past a checkpoint and some evaluations beyond it."""
    until(lambda: step_of(path) >= KILL_AFTER, f"step {KILL_AFTER} of {path}")
    return read_lock(path / "lock").holder.pid


def trajectory_files(path: Path):
    """Inode and time of each snapshot up to the checkpoint: they change if one is computed again."""
    files = [path / "trajectory" / f"step_{step:08d}.safetensors" for step in range(0, CHECKPOINT + 1, 100)]
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
