"""Laws: the newest intact checkpoint comes back; rewound and resumed equals never interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from spectral_edge.store import RunCorruptError, RunDirectory, StoreError


def test_newest_comes_back_and_only_two_are_kept(run: RunDirectory) -> None:
    assert run.latest_checkpoint() is None
    extra = {"rng": [2**63, -1], "lr": 0.1, "note": None}
    for step in (0, 5, 10):
        run.write_checkpoint(step, {"x": torch.tensor(step)}, {**extra, "at": step})
    latest = run.latest_checkpoint()
    assert latest is not None
    assert (latest[0], latest[1]["x"].item(), latest[2]) == (10, 10, {**extra, "at": 10})
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == ["step_00000005.safetensors", "step_00000010.safetensors"]


def test_damaged_newest_falls_back_with_a_warning(run: RunDirectory) -> None:
    for step in (5, 10):
        run.write_checkpoint(step, {"x": torch.tensor(step)}, {})
    (run.path / "checkpoints" / "step_00000010.safetensors").write_bytes(b"\x80\x04.")
    with pytest.warns(UserWarning, match=r"step_00000010\.safetensors: 3 bytes"):
        latest = run.latest_checkpoint()
    assert latest is not None
    assert (latest[0], latest[1]["x"].item()) == (5, 5)


def test_all_damaged_is_an_error_that_names_all(run: RunDirectory) -> None:
    for step in (5, 10):
        run.write_checkpoint(step, {"x": torch.tensor(step)}, {})
        (run.path / "checkpoints" / f"step_{step:08d}.safetensors").unlink()
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(RunCorruptError, match=r"every checkpoint is damaged: .*00000010.*00000005"),
    ):
        run.latest_checkpoint()


def test_failed_checkpoint_leaves_the_older_ones(run: RunDirectory) -> None:
    run.write_checkpoint(5, {"x": torch.tensor(5)}, {}, keep=1)
    with pytest.raises(StoreError, match=r"checkpoints\.jsonl: 'loss' is inf"):
        run.write_checkpoint(6, {"x": torch.tensor(6)}, {"loss": float("inf")}, keep=1)
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        run.write_checkpoint(6, {"x": torch.tensor(6)}, {}, keep=0)
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5


def _fill(run: RunDirectory, steps: range) -> None:
    for step in steps:
        run.append_metrics({"step": step, "loss": step / 7})
        run.write_snapshot(step, {"x": torch.tensor(step)})
        if step % 2 == 0:
            run.write_checkpoint(step, {"x": torch.tensor(step)}, {"step": step}, keep=9)
        if step in (2, 7):
            run.write_updates(step, {"stride1": torch.full((2, 3), step)})


def _content(run: RunDirectory) -> dict[str, bytes]:
    files = (path for path in run.path.rglob("*") if path.is_file())
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files}


@pytest.mark.parametrize("step", [-1, 0, 3, 6, 100])
def test_rewound_and_resumed_equals_uninterrupted(
    run: RunDirectory, tmp_path: Path, config: BaseModel, step: int
) -> None:
    straight = RunDirectory.create(tmp_path / "straight", config, {"python": "3.11"})
    _fill(straight, range(8))
    _fill(run, range(7))
    (run.path / "trajectory" / "step_00000099.safetensors").write_bytes(b"never committed")
    with (run.path / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"step": 7, "lo')
    run.rewind(step)
    run.rewind(step)
    last = min(step, 6)
    assert [line["step"] for line in run.metrics()] == list(range(last + 1)) == run.snapshot_steps()
    _fill(run, range(last + 1, 8))
    assert _content(run) == _content(straight)


def test_rewind_of_an_empty_run_is_empty(run: RunDirectory) -> None:
    run.rewind(10)
    assert (run.metrics(), run.snapshot_steps(), run.latest_checkpoint()) == ([], [], None)
