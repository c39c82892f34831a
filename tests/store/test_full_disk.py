"""Under a real limit, in a real process, writes fail half done and what was committed stays."""

from __future__ import annotations

import subprocess
import sys

import torch

from spectral_edge.store import RunDirectory

WRITER = """
import resource, sys
from pathlib import Path
import torch
from spectral_edge.store import RunDirectory, StoreError

run = RunDirectory.open(Path(sys.argv[1]))
big = {"x": torch.ones(10_000)}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # Python ignores SIGXFSZ: writes fail half done
for write in (
    lambda: run.write_status({"state": "running", "step": 2, "note": "x" * 2000}),
    lambda: run.append_metrics({"step": 2, "note": "x" * 2000}),
    lambda: run.write_snapshot(2, big),
    lambda: run.write_checkpoint(2, big, {}),
    lambda: run.write_checkpoint(2, {"x": torch.ones(1)}, {"note": "x" * 2000}),
):
    try:
        write()
        print("written")
    except StoreError as error:
        print(error)
"""


def test_full_disk_is_reported_and_leaves_what_was_committed(run: RunDirectory) -> None:
    run.write_status({"state": "running", "step": 1})
    run.append_metrics({"step": 1})
    run.write_snapshot(1, {"x": torch.tensor(1)})
    run.write_checkpoint(1, {"x": torch.tensor(1)}, {"at": 1})
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    command = [sys.executable, "-c", WRITER, str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    uncommitted = run.path / "checkpoints" / "step_00000002.safetensors"
    written = [
        run.path / "status.json",
        run.path / "metrics.jsonl",
        run.path / "trajectory" / "step_00000002.safetensors",
        uncommitted,
        run.path / "checkpoints.jsonl",
    ]
    problem = "could not be written: File too large. Raise the file-size limit (ulimit -f)"
    for path, message in zip(written, done.stdout.splitlines(), strict=True):
        assert message.startswith(f"{path}: {problem}")
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != uncommitted}
    assert after == before
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[2] == {"at": 1}
