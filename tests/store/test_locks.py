"""Laws: one writer per run; the second learns who the first is; a killed writer leaves the run free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectral_edge.store import LockState, RunDirectory, RunLockedError, StoreError, read_lock

HOLDER = """
import sys, time
from pathlib import Path
from spectral_edge.store import RunDirectory

with RunDirectory.open(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(run: RunDirectory) -> Iterator[subprocess.Popen[str]]:
    """A real second process that holds the lock of ``run``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, run.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_process_is_refused_by_name_until_the_first_is_killed(
    run: RunDirectory, holder: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(RunLockedError, match=rf"in use by process {holder.pid} on .* since \d{{4}}-"),
        run.lock(0.1),
    ):
        pytest.fail("two writers")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run.lock():
        run.append_metrics({"step": 1})
    assert run.metrics() == [{"step": 1}]


def test_lock_is_exclusive_within_a_process_and_free_afterwards(run: RunDirectory) -> None:
    with run.lock(), pytest.raises(RunLockedError), run.lock(0):
        pytest.fail("two writers")
    with run.lock(0):
        pass
    assert (run.path / "lock").read_bytes() == b""


def test_lock_is_released_when_the_block_raises(run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    with run.lock(0):
        pass


def test_unreadable_holder_is_still_refused(run: RunDirectory) -> None:
    with run.lock():
        (run.path / "lock").write_bytes(b"{torn")
        with pytest.raises(RunLockedError, match="a process that left no name"), run.lock(0):
            pytest.fail("two writers")


def test_lock_follows_no_link_out_of_the_run(run: RunDirectory, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (run.path / "lock").unlink()
    (run.path / "lock").symlink_to(precious)
    with pytest.raises(StoreError, match="could not be locked"), run.lock():
        pytest.fail("followed a link")
    assert precious.read_text() == "keep me"


@pytest.mark.parametrize("folder", ["trajectory", "checkpoints", "updates", "decay", "modes"])
def test_lock_removes_what_a_killed_writer_left(run: RunDirectory, folder: str) -> None:
    leftover = run.path / folder / ".step_00000001.safetensors.0a1b2c3d.tmp"
    leftover.write_bytes(b"half")
    with run.lock():
        assert not leftover.exists()


def test_looking_at_a_lock_tells_held_killed_and_free_apart(run: RunDirectory, holder: subprocess.Popen[str]) -> None:
    path = run.path / "lock"
    state = read_lock(path)
    assert state.held
    assert state.holder is not None
    assert state.holder.pid == holder.pid
    holder.kill()
    holder.wait()
    killed = read_lock(path)
    assert not killed.held
    assert killed.holder == state.holder
    with run.lock():
        pass
    assert read_lock(path) == LockState(held=False, holder=None)
    assert read_lock(run.path / "missing") == LockState(held=False, holder=None)


def test_looking_follows_no_link_and_waits_for_no_pipe(run: RunDirectory, tmp_path: Path) -> None:
    (run.path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="link: could not be read"):
        read_lock(run.path / "link")
    os.mkfifo(run.path / "pipe")
    assert not read_lock(run.path / "pipe").held
