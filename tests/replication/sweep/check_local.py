"""Sweeps whose processes share a directory, are killed, or run out of disk."""

import json
import os
import resource
import signal
import threading

from spectral_edge.engines import LocalEngine
from spectral_edge.replication.sweep import run_sweep, sweep_states
from spectral_edge.subjects import run_folder
from support.sweeping import (
    LONG,
    command,
    holder_in_mid_run,
    step_of,
    tiny_spec,
    trajectory_files,
    until,
    written,
)
from support.tiny_runs import contents


def test_a_worker_killed_in_mid_run_is_named_and_the_same_sweep_continues_from_its_checkpoint(
    tmp_path, engine, long_run_alone
):
    spec = tiny_spec(runs=[LONG, {"seed": 7}])
    killed, other = (run_folder(tmp_path, run) for run in spec.configurations)
    killer = threading.Thread(target=lambda: os.kill(holder_in_mid_run(killed), signal.SIGKILL))
    killer.start()
    failed, finished = run_sweep(tmp_path, spec, engine)
    killer.join()
    assert failed.why.startswith(f"{killed.name}: its worker process was killed by SIGKILL")
    assert (failed.state, finished.state) == ("failed", "finished")
    states = {state.run_id: state for state in sweep_states(tmp_path)}
    assert (states[killed.name].state, states[other.name].state) == ("stopped", "finished")
    assert 700 <= states[killed.name].step < 1200
    before = trajectory_files(killed)
    outcomes = run_sweep(tmp_path, spec, engine)
    assert [(outcome.state, outcome.computed) for outcome in outcomes] == [("finished", True), ("finished", False)]
    assert trajectory_files(killed) == before
    assert contents(killed) == long_run_alone


def test_two_sweeps_that_share_a_directory_train_each_run_once(tmp_path, engine):
    length = {"max_steps": 240, "eval_every": 20}
    one = tiny_spec(base=length, grid={"seed": [1, 2, 3, 4]})
    other = tiny_spec(base=length, grid={"seed": [3, 2, 1, 5]})  # from the other end, so that both find work
    arguments = ("--out", tmp_path / "out", "--jobs", "1", "--json")
    process = command("sweep", written(one, tmp_path / "one.json"), *arguments)
    first = run_folder(tmp_path / "out", one.configurations[0])
    until(lambda: step_of(first) > 0, "the first run of the first sweep")
    here = run_sweep(tmp_path / "out", other, engine)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    there = json.loads(out)["runs"]
    assert [run["state"] for run in there] == [outcome.state for outcome in here] == ["finished"] * 4
    computed_here = {outcome.run_id for outcome in here if outcome.computed}
    computed_there = {run["run_id"] for run in there if run["computed"]}
    shared = {run.run_id for run in one.configurations} & {run.run_id for run in other.configurations}
    assert computed_here & shared  # so that the two did meet
    assert computed_there & shared
    assert not computed_here & computed_there
    assert computed_here | computed_there == {run.run_id for run in (*one.configurations, *other.configurations)}
    assert [state.state for state in sweep_states(tmp_path / "out")] == ["finished"] * 5


def test_a_full_disk_on_a_worker_costs_the_run_that_meets_it_and_the_same_sweep_continues(tmp_path, engine):
    spec = tiny_spec(runs=[{"d_mlp": 256}, {"seed": 1}])
    limit = 60_000  # between the snapshots of the two
    with LocalEngine(1) as limited:
        limited.place("limit", resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        limited.collect(60)
        failed, finished = run_sweep(tmp_path, spec, limited)
    assert failed.why.startswith(f"{tmp_path}/runs/{failed.run_id}/trajectory/step_00000000.safetensors: could not be")
    assert "File too large. Raise the file-size limit" in failed.why
    assert (failed.state, finished.state) == ("failed", "finished")
    outcomes = run_sweep(tmp_path, spec, engine)
    assert [(outcome.state, outcome.computed) for outcome in outcomes] == [("finished", True), ("finished", False)]
