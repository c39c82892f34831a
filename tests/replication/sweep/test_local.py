import pytest

from spectral_edge.engines.versions import versions
from spectral_edge.replication import analyze_run, completion
from spectral_edge.replication.run_analysis import stored_analysis
from spectral_edge.replication.sweep import run_sweep, sweep_states
from spectral_edge.replication.sweep.unit import complete_unit
from spectral_edge.store import StoreError, hold_lock, read_lock
from spectral_edge.subjects import run_folder, train_run
from support.sweeping import (
    tiny_spec,
)
from support.tiny_runs import TINY_ANALYSIS, contents


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
