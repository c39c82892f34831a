"""What differs between operating systems: the branches that this one does not take are taken, too."""

import os
import subprocess
import sys

import pytest

from spectral_edge.store import system

WINDOWS = """
import errno, os, sys, types
import fcntl as real  # plays the part of Windows' byte locks below
import subprocess  # which takes a system with msvcrt for Windows, if it is imported later
import torch

held = {}

def locking(descriptor, mode, size):
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 1 << 40 and size == 1
    if mode == 2:  # LK_UNLCK is 0 there, 2 is LK_NBLCK
        try:
            real.flock(descriptor, real.LOCK_EX | real.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EACCES, "Permission denied") from None
    else:
        real.flock(descriptor, real.LOCK_UN)

sys.modules["fcntl"] = None
if sys.argv[2] == "msvcrt":
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2, LK_UNLCK=0)
for name in ("O_NOFOLLOW", "O_NONBLOCK", "posix_fallocate", "pread", "pwrite", "sched_getaffinity"):
    delattr(os, name)

import spectral_edge as se
from spectral_edge.store import RunLockedError, StoreError, hold_lock, read_lock
from pathlib import Path

torch.manual_seed(0)
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run_dir = Path(sys.argv[1])
try:
    recorder = se.watch(model, optimizer, parameters=".", window=3, run_dir=run_dir, storage="disk", verbose=False)
except StoreError as problem:
    print("refused:", problem)
    sys.exit()
with recorder:
    for _ in range(7):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
    edge = recorder.edge()
    lock = run_dir / "lock"
    assert read_lock(lock).held
    try:
        with hold_lock(lock, wait=0):
            raise SystemExit("two writers")
    except RunLockedError as problem:
        assert str(os.getpid()) in str(problem)
assert not read_lock(run_dir / "lock").held
print(edge.position, se.Recording(run_dir).edge().position)
"""


def played(tmp_path, what):
    done = subprocess.run([sys.executable, "-c", WINDOWS, tmp_path / "run", what], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_recording_without_fcntl_is_locked_and_read(tmp_path):
    first, second = played(tmp_path, "msvcrt").split()
    assert first == second


def test_without_any_locks_a_recording_says_so(tmp_path):
    assert "neither flock nor msvcrt" in played(tmp_path, "nothing")


@pytest.mark.parametrize("size", [0, 5, (1 << 24) + 3])
def test_room_is_reserved_without_the_call_for_it(tmp_path, monkeypatch, size):
    monkeypatch.delattr(os, "posix_fallocate")
    path = tmp_path / "window.bin"
    path.write_bytes(b"abc")
    descriptor = system.open_file(path, os.O_RDWR)
    system.reserve(descriptor, size)
    os.close(descriptor)
    found = path.read_bytes()
    assert len(found) == max(3, size)
    assert found.startswith(b"abc")
    assert found.count(b"\0") == max(0, size - 3)
    assert path.stat().st_blocks * 512 >= size


def test_links_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        system.open_file(tmp_path / "link", os.O_RDWR)
