"""Reproductions of several processes: repeated, killed, damaged."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spectral_edge.replication import ReproduceConfig, reproduce
from spectral_edge.replication.decision.document import committed
from spectral_edge.store import Claims, Numbers, StoreError
from spectral_edge.subjects import run_folder
from support.tiny_runs import STOP, TINY_ANALYSIS, TINY_PROTOCOL, tiny


class TinyProfile(ReproduceConfig):
    @property
    def runs(self):
        return [tiny(name, **STOP) for name in ("add", "mul", "sub")]

    @property
    def protocol(self):
        return TINY_PROTOCOL


CONFIG = TinyProfile(analysis=TINY_ANALYSIS, jobs=2)
COMMAND = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from replication.check_reproduce import CONFIG
from spectral_edge.replication import reproduce
if __name__ == "__main__":
    reproduce(Path({out!r}), CONFIG)
"""


def test_runs_in_parallel_reports_progress_and_repeats_nothing(tmp_path):
    seen = []
    found = reproduce(tmp_path / "out", CONFIG, on_progress=lambda runs: seen.append([r.stage for r in runs]))
    assert [a.summary.task for a in found.analyses] == ["add", "mul", "sub"]
    assert seen[-1] == ["done"] * 3
    assert Claims.read(tmp_path / "out" / "claims.json") == found.claims
    assert Numbers.read(tmp_path / "out" / "numbers.json") == found.numbers
    assert {(row.claim, row.task) for row in found.claims.rows} == {("C2", task) for task in ("add", "mul", "sub")}
    assert found.claims.answers == committed().answers
    assert found.claims.placed == [], "numbers of another protocol are not placed"
    files = [f for f in (tmp_path / "out").rglob("*") if f.is_file() and f.name != "lock"]
    before = {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in files}
    assert reproduce(tmp_path / "out", CONFIG).claims == found.claims
    assert before == {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in files}


def test_killed_and_started_again_it_finishes_with_the_same_rows(tmp_path):
    script = tmp_path / "command.py"
    tests = str(Path(__file__).parents[1])
    script.write_text(COMMAND.format(tests=tests, out=str(tmp_path / "killed")))
    environment = {**os.environ, "PYTHONPATH": tests}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE)
    folder = run_folder(tmp_path / "killed", tiny("add", **STOP))
    deadline = time.monotonic() + 60
    while not (folder / "status.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, process.stderr.read().decode()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    claims = reproduce(tmp_path / "killed", CONFIG).claims  # its workers end with it, so their runs are free
    assert claims.rows == reproduce(tmp_path / "whole", CONFIG).claims.rows


def test_a_damaged_claims_file_is_made_again(tmp_path):
    claims = reproduce(tmp_path, CONFIG).claims
    (tmp_path / "claims.json").write_text("{")
    reproduce(tmp_path, CONFIG)
    assert Claims.read(tmp_path / "claims.json").rows == claims.rows


def test_a_damaged_run_is_named_set_aside_and_trained_again(tmp_path):
    claims = reproduce(tmp_path, CONFIG).claims
    shutil.rmtree(tmp_path / "measured")
    victim = run_folder(tmp_path, tiny("mul", **STOP))
    for analysis in victim.glob("analysis-*"):
        shutil.rmtree(analysis)
    snapshot = sorted((victim / "trajectory").iterdir())[-1]
    damaged = snapshot.read_bytes()[:-1]
    snapshot.write_bytes(damaged)
    notes = []
    again = reproduce(tmp_path, CONFIG, on_progress=lambda runs: notes.extend(r.note for r in runs if r.note)).claims
    assert again.rows == claims.rows
    moved = tmp_path / "set-aside" / f"{victim.name}.1"
    assert (moved / "trajectory" / snapshot.name).read_bytes() == damaged
    assert str(moved) in notes[-1]
    assert snapshot.name in notes[-1]


def test_errors_of_a_worker_reach_the_user(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StoreError, match="is a file"):
        reproduce(tmp_path / "file", CONFIG)
    run_folder(tmp_path, tiny("mul", **STOP)).parent.mkdir(parents=True)
    run_folder(tmp_path, tiny("mul", **STOP)).write_text("in the way")
    with pytest.raises(StoreError, match=r"mul.*file"):
        reproduce(tmp_path, CONFIG)


def test_only_what_the_claims_need_is_computed(tmp_path):
    claims = reproduce(tmp_path, CONFIG.model_copy(update={"claims": ("C2", "C8")})).claims
    assert {row.claim for row in claims.rows} == {"C2"}, "tiny runs have no stop at which directions are read"
    assert [answer.claim for answer in claims.answers] == ["C2", "C8"]
    runs = ReproduceConfig(claims=("C8",)).runs
    assert [run.training.operation for run in runs] == ["sub"]
