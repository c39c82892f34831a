"""Laws: a kill or a full disk at any instant leaves what was committed, and all of it, readable."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spectral_edge.store import (
    RunCorruptError,
    StoreError,
    append_line,
    read_lines,
    write_atomically,
)

LINES: list[dict[str, Any]] = [
    {"step": 0, "loss": 2.5},
    {"step": 1, "name": "é\n"},
    {"step": 2, "loss": None},
]
WHOLE = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]  # noqa: PTH208 - hidden temporaries must show too
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_atomic_write_keeps_the_old_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path if call == "replace" else os, call, full)
    with pytest.raises(StoreError, match=r"a\.bin: could not be written: No space left.*Free disk space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_removes_its_temporary_when_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.bin", b"new")
    assert not list(tmp_path.iterdir())


@settings(deadline=None)  # the time is the disk's
@given(cut=st.integers(0, len(WHOLE)))
@example(cut=len(WHOLE) - 1)
def test_cut_at_any_byte_loses_no_committed_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "metrics.jsonl"
    path.write_bytes(WHOLE[:cut])
    committed = LINES[: WHOLE[:cut].count(b"\n")]
    assert read_lines(path) == committed
    append_line(path, {"step": 9})
    assert read_lines(path) == [*committed, {"step": 9}]


@pytest.mark.parametrize("torn", [b'{"step": 3, "lo', b'{"step": 3}', b"\0\0\0\0\n", b"[3]\n", b"x" * 10_000])
def test_torn_last_line_is_ignored_and_then_replaced(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(WHOLE + torn)
    assert read_lines(path) == LINES
    append_line(path, {"step": 3})
    assert path.read_bytes() == WHOLE + b'{"step":3}\n'


@pytest.mark.parametrize("bad", [b'{"step": 1, "lo\n', b"\n", b"\xff\n", b'"text"\n', b'{"loss": NaN}\n'])
def test_damage_before_the_last_line_is_an_error_at_its_line(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + bad + b'{"step": 2}\n')
    with pytest.raises(RunCorruptError, match=r"metrics\.jsonl:2"):
        read_lines(path)


def test_append_reads_a_last_line_longer_than_one_block(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    long: dict[str, object] = {"note": "x" * 50_000}
    for line in (LINES[0], long, long):
        append_line(path, line)
    assert read_lines(path) == [LINES[0], long, long]


def test_refused_line_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 0})
    with pytest.raises(StoreError, match="'loss' is nan"):
        append_line(path, {"step": 1, "loss": float("nan")})
    assert read_lines(path) == [{"step": 0}]


def test_missing_file_has_no_lines_and_a_folder_is_refused(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl") == []
    with pytest.raises(RunCorruptError, match="not a regular file"):
        read_lines(tmp_path)
    with pytest.raises(StoreError, match="not a directory"):
        write_atomically(tmp_path, b"")
    with pytest.raises(StoreError, match="Create the folder first"):
        append_line(tmp_path / "none" / "m.jsonl", {})
