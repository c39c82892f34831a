import json
import os
import resource
import signal
import threading

import pytest

from spectral_edge.store import StoreError, hold_lock, read_lock
from spectral_edge.studies import analyze_run, completion, run_folder, train_run
from spectral_edge.studies.engines import LocalEngine
from spectral_edge.studies.engines.versions import versions
from spectral_edge.studies.run_analysis import stored_analysis
from spectral_edge.studies.sweep import run_sweep, sweep_states
from spectral_edge.studies.sweep.unit import complete_unit
from support.sweeping import (
    LONG,
    command,
    contents,
    holder_in_mid_run,
    step_of,
    tiny_spec,
    trajectory_files,
    until,
    written,
)
from support.tiny_runs import TINY_ANALYSIS


@pytest.fixture(scope="module")
def engine():
    with LocalEngine(1) as engine:
        yield engine


def test_a_second_call_computes_nothing_and_changes_no_file(tmp_path, engine):
    spec = tiny_spec(grid={"operation": ["add", "mul"]}, claims=["C6"], analysis=TINY_ANALYSIS)
    first = run_sweep(tmp_path, spec, engine)
    before = {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in tmp_path.rglob("*") if f.is_file()}
    again = run_sweep(tmp_path, spec, engine)
    assert [(outcome.state, outcome.computed) for outcome in first] == [("finished", True)] * 2
    assert len(list(tmp_path.glob("runs/*/analysis-modes-*/rows.json"))) == 2
    assert [(outcome.state, outcome.computed) for outcome in again] == [("finished", False)] * 2
    assert before == {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in tmp_path.rglob("*") if f.is_file()}


def test_claims_that_are_asked_for_later_are_measured_without_training_again(tmp_path, engine):
    spec = tiny_spec(grid={"operation": ["add"]})
    run_sweep(tmp_path, spec, engine)
    (run,) = spec.configurations
    path = run_folder(tmp_path, run)
    trained = {name: (path / name).stat().st_mtime_ns for name in contents(path)}
    (outcome,) = run_sweep(tmp_path, tiny_spec(grid=spec.grid, claims=["C6"], analysis=TINY_ANALYSIS), engine)
    assert outcome.computed
    assert trained == {name: (path / name).stat().st_mtime_ns for name in trained}
    assert [state.state for state in sweep_states(tmp_path)] == ["finished"]


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
    other = tiny_spec(base=length, grid={"seed": [1, 2, 3, 5]})
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


def test_a_run_in_other_hands_is_waited_for_and_taken_up_once_it_is_free(tmp_path, engine):
    spec = tiny_spec(runs=[{"seed": 1}, {"seed": 2}])
    held, free = (run.run_id for run in spec.configurations)
    (tmp_path / "runs" / held).mkdir(parents=True)
    lock = hold_lock(tmp_path / "runs" / held / "lock")
    lock.__enter__()
    ended = []

    def note(outcome):
        ended.append(outcome.run_id)
        if outcome.run_id == free:
            assert [state.state for state in sweep_states(tmp_path)] == ["running", "finished"]
            lock.__exit__(None, None, None)

    assert [outcome.computed for outcome in run_sweep(tmp_path, spec, engine, note)] == [True, True]
    assert ended == [free, held]


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


def test_a_run_that_diverges_is_named_stops_no_other_and_is_not_tried_again(tmp_path, engine):
    spec = tiny_spec(runs=[{"learning_rate": 1e30}, {"seed": 2}])
    diverged, other = run_sweep(tmp_path, spec, engine)
    assert "lower the learning rate" in diverged.why
    assert other.state == "finished"
    again, _ = run_sweep(tmp_path, spec, engine)
    assert not again.computed
    assert "It is not tried again: change its configuration, or delete" in again.why


def test_a_damaged_run_is_named_and_left_as_it_is(tmp_path, engine):
    spec = tiny_spec(runs=[{"seed": 1}, {"seed": 2}])
    damaged = run_folder(tmp_path, spec.configurations[0])
    damaged.mkdir(parents=True)
    (damaged / "config.json").write_text("{")
    named, other = run_sweep(tmp_path, spec, engine)
    assert f"{damaged / 'config.json'}: not valid JSON" in named.why
    assert other.state == "finished"
    assert (damaged / "config.json").read_text() == "{"


def test_an_analysis_of_an_earlier_step_is_not_the_run_s_and_a_damaged_one_is_named(tmp_path, engine):
    spec = tiny_spec(runs=[{}], claims=("C6",), analysis=TINY_ANALYSIS)
    (run,) = spec.configurations
    path = run_folder(tmp_path, run)

    def stop(status):
        if status["step"] == 55:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(path, run, stop)
    analyze_run(path, TINY_ANALYSIS, ("C6",))
    (outcome,) = run_sweep(tmp_path, spec, engine)
    assert outcome.state == "finished"
    assert stored_analysis(path, TINY_ANALYSIS).summary.steps == 60
    rows = next(path.glob("analysis-*/rows.json"))
    rows.write_text(rows.read_text()[:100])
    (outcome,) = run_sweep(tmp_path, spec, engine)
    assert outcome.state == "failed"
    assert f"{rows}: not valid JSON" in outcome.why


def test_a_worker_with_other_versions_computes_nothing(tmp_path):
    (run,) = tiny_spec(runs=[{}]).configurations
    outcome = complete_unit(tmp_path, run, TINY_ANALYSIS, (), versions() | {"torch": "1.0"})
    assert outcome.state == "failed"
    assert f"has torch {versions()['torch']}, not 1.0. Install the same versions there" in outcome.why
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_in_one_process_s_hands_while_it_is_analysed_too(tmp_path, monkeypatch):
    (run,) = tiny_spec(runs=[{}]).configurations
    held = []

    def look(path, *arguments):
        held.append(read_lock(path / "lock").held)

    monkeypatch.setattr(completion, "analyze_run", look)
    assert completion.complete_run(tmp_path, run, TINY_ANALYSIS, ("C6",))
    assert held == [True]


def test_an_output_path_that_is_a_file_is_refused(tmp_path, engine):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(StoreError, match="the output path is a file"):
        run_sweep(tmp_path / "out", tiny_spec(runs=[{}]), engine)
    assert (tmp_path / "out").read_text() == "precious"
