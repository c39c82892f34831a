"""Laws: committed snapshots read back equal; damaged, foreign or hostile files are refused by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from torch import Tensor

from spectral_edge.store import (
    RunCorruptError,
    RunDirectory,
    RunMissingError,
    StoreError,
    append_line,
)


class Config(BaseModel):
    seed: int = 0


def _equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_snapshots_read_back_equal_and_own_their_memory(run: RunDirectory, tensors: dict[str, Tensor]) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    awkward = {
        "transposed": shared.T,
        "tied": shared,
        "parameter": torch.nn.Parameter(shared),
        "0d": shared[0, 1],
    }
    run.write_snapshot(100, tensors)
    run.write_snapshot(0, awkward)
    assert run.snapshot_steps() == [0, 100]
    assert _equal(run.read_snapshot(100), tensors)
    assert _equal(run.read_snapshot(0), {name: tensor.detach() for name, tensor in awkward.items()})
    run.read_snapshot(100)["W"].zero_()
    assert _equal(run.read_snapshot(100), tensors)


def test_bytes_do_not_depend_on_the_order_of_names(
    tmp_path: Path, config: BaseModel, tensors: dict[str, Tensor]
) -> None:
    turned = dict(reversed(tensors.items()))
    for name, named in {"one": tensors, "two": turned}.items():
        RunDirectory.create(tmp_path / name, config, {}).write_snapshot(1, named)
    assert (tmp_path / "one" / "index.jsonl").read_bytes() == (tmp_path / "two" / "index.jsonl").read_bytes()


def test_index_line_is_the_commit(run: RunDirectory, tensors: dict[str, Tensor]) -> None:
    run.write_snapshot(1, tensors)
    (run.path / "index.jsonl").unlink()
    assert run.snapshot_steps() == []
    with pytest.raises(RunMissingError, match="no snapshot of step 1; committed: none"):
        run.read_snapshot(1)
    run.write_snapshot(1, {"W": torch.zeros(2)})  # what was not committed may be written over
    assert _equal(run.read_snapshot(1), {"W": torch.zeros(2)})


def test_committed_step_is_not_written_twice(run: RunDirectory, tensors: dict[str, Tensor]) -> None:
    run.write_snapshot(1, tensors)
    with pytest.raises(StoreError, match=r"step 1 is already in the trajectory\. Call rewind"):
        run.write_snapshot(1, tensors)


@pytest.mark.parametrize("step", [-1, 1.0, True])
def test_step_that_is_no_count_is_refused(run: RunDirectory, step: int) -> None:
    with pytest.raises(ValueError):
        run.write_snapshot(step, {"W": torch.ones(1)})


@pytest.mark.parametrize(
    "bad",
    [
        {"W": torch.ones(2).to_sparse()},
        {"W": torch.ones(2, device="meta")},
        {"__metadata__": torch.ones(1)},
    ],
)
def test_tensor_that_does_not_fit_is_refused_by_name(run: RunDirectory, bad: dict[str, Tensor]) -> None:
    with pytest.raises(StoreError, match=next(iter(bad))):
        run.write_snapshot(1, bad)
    assert run.snapshot_steps() == []


@pytest.mark.parametrize("kind", ["truncated", "bit flipped", "missing", "folder"])
def test_damaged_file_is_refused_by_name(run: RunDirectory, tensors: dict[str, Tensor], kind: str) -> None:
    run.write_snapshot(1, tensors)
    path = run.path / "trajectory" / "step_00000001.safetensors"
    data = bytearray(path.read_bytes())
    path.unlink()
    if kind == "truncated":
        path.write_bytes(data[:-1])
    elif kind == "bit flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(RunCorruptError, match=r"step_00000001\.safetensors: "):
        run.read_snapshot(1)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_is_refused_unopened_even_if_the_index_vouches_for_it(
    run: RunDirectory, tmp_path: Path, zipped: bool
) -> None:
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    path = run.path / "trajectory" / "step_00000001.safetensors"
    torch.save(Trap(), path, _use_new_zipfile_serialization=zipped)
    _commit(run, path)
    with pytest.raises(RunCorruptError, match=r"step_00000001\.safetensors: a pickle .*nothing is ever unpickled"):
        run.read_snapshot(1)
    assert not marker.exists()


def test_other_content_is_refused_even_if_the_index_vouches_for_it(run: RunDirectory) -> None:
    path = run.path / "trajectory" / "step_00000001.safetensors"
    path.write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    _commit(run, path)
    with pytest.raises(RunCorruptError, match=r"step_00000001\.safetensors: not safetensors"):
        run.read_snapshot(1)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", "step_00000002.safetensors", ""])
def test_name_that_leads_elsewhere_is_refused_at_its_line(
    run: RunDirectory, tensors: dict[str, Tensor], name: str
) -> None:
    run.write_snapshot(0, tensors)
    run.write_snapshot(1, tensors)
    index = run.path / "index.jsonl"
    first, second = index.read_text().splitlines()
    index.write_text(first + "\n" + json.dumps({**json.loads(second), "file": name}) + "\n")
    for read in (run.snapshot_steps, lambda: run.read_snapshot(1), lambda: run.rewind(0)):
        with pytest.raises(RunCorruptError, match=r"index\.jsonl:2: .*must be 'step_00000001"):
            read()


@pytest.mark.parametrize(("key", "value"), [("bytes", "12"), ("sha256", "abc"), ("step", None), ("more", 1)])
def test_wrong_kind_in_the_index_is_refused_at_its_line(
    run: RunDirectory, tensors: dict[str, Tensor], key: str, value: object
) -> None:
    run.write_snapshot(1, tensors)
    index = run.path / "index.jsonl"
    index.write_text(json.dumps({**json.loads(index.read_text()), key: value}) + "\n")
    with pytest.raises(RunCorruptError, match=rf"index\.jsonl:1: {key}: "):
        run.snapshot_steps()


def _commit(run: RunDirectory, path: Path) -> None:
    data = path.read_bytes()
    entry = {"step": 1, "file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    append_line(run.path / "index.jsonl", entry)


@settings(deadline=None, max_examples=40)  # the time is the disk's
@given(data=st.data())
def test_index_cut_at_any_byte_keeps_every_committed_snapshot(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = RunDirectory.create(tmp_path_factory.mktemp("run"), Config(), {})
    for step in range(3):
        run.write_snapshot(step, {"x": torch.tensor(step)})
    index = run.path / "index.jsonl"
    whole = index.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    index.write_bytes(whole[:cut])
    committed = list(range(whole[:cut].count(b"\n")))
    assert run.snapshot_steps() == committed
    for step in range(len(committed), 4):
        run.write_snapshot(step, {"x": torch.tensor(step)})
    assert [run.read_snapshot(step)["x"].item() for step in run.snapshot_steps()] == [0, 1, 2, 3]
