import shutil
import socket

import pytest

from spectral_edge.replication.sweep import sweep_states
from spectral_edge.store import RunDirectory, StoreError, SweepFile, hold_lock, write_sweep
from spectral_edge.subjects import run_folder
from support.tiny_runs import tiny


@pytest.fixture
def root(tmp_path, trained):
    """A result directory with one run in each state."""
    asked = [tiny("add"), tiny("sub"), tiny("mul"), tiny("x2_y2"), tiny("add", seed=9)]
    write_sweep(tmp_path, SweepFile(runs=[run.model_dump(mode="json") for run in asked]))
    for run in asked[:4]:
        shutil.copytree(trained[run.training.operation], run_folder(tmp_path, run))
    for run, state in ((tiny("sub"), "running"), (tiny("mul"), "running"), (tiny("x2_y2"), "failed")):
        directory = RunDirectory.open(run_folder(tmp_path, run))
        directory.write_status({**directory.status, "state": state, "step": 40, "why": "training diverged"})
    return tmp_path


def test_every_state_is_seen_with_step_time_left_and_host(root):
    (root / "runs" / "notes").mkdir()
    (root / "runs" / "notes" / "config.json").write_text('{"schema": 1, "config": {"kind": "recording"}}')
    (root / "sweeps" / "damaged.json").write_text("{")
    before = {f: f.stat().st_mtime_ns for f in root.rglob("*")}
    with RunDirectory.open(run_folder(root, tiny("sub"))).lock():
        before |= {f: f.stat().st_mtime_ns for f in root.rglob("*")}  # the lock file says who holds it
        states = {state.run_id: state for state in sweep_states(root)}
        assert before == {f: f.stat().st_mtime_ns for f in root.rglob("*")}
    by_state = {state.state: state for state in states.values() if state.state != "unreadable"}
    assert set(by_state) == {"finished", "running", "stopped", "failed", "waiting"}
    running = by_state["running"]
    assert (running.run_id, running.step, running.max_steps) == (tiny("sub").run_id, 40, 60)
    assert running.host == socket.gethostname()
    assert running.seconds_left > 0
    assert by_state["stopped"].host is None
    assert by_state["failed"].why == "training diverged"
    assert by_state["waiting"].run_id == tiny("add", seed=9).run_id
    assert by_state["finished"].seconds_left is None
    assert "notes/config.json" in states["notes"].why
    assert "damaged.json: not valid JSON" in states["damaged.json"].why


def test_looking_does_not_stand_in_a_writer_s_way(root):
    path = run_folder(root, tiny("add"))
    for _ in range(50):
        sweep_states(root)
        with hold_lock(path / "lock", wait=0):
            assert next(state for state in sweep_states(root) if state.path == path).state == "running"


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere: there is no such directory. Give the --out of a sweep"):
        sweep_states(tmp_path / "nowhere")
