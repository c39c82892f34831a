"""Submitit's own local executor, and its Slurm executor with stand-ins for the commands of a cluster."""

import os
import signal
import threading

import pytest
from submitit.core.core import Job

from spectral_edge.cli import main
from spectral_edge.engines import EngineError
from spectral_edge.engines.slurm import SlurmEngine
from spectral_edge.replication.sweep import run_sweep, sweep_states
from spectral_edge.store import read_lock
from spectral_edge.subjects import run_folder
from support.sweeping import LONG, holder_in_mid_run, tiny_spec, trajectory_files, until, written
from support.tiny_runs import contents

# Starts every task of the array at once, as a cluster with room would, from its own copy: submitit moves its file away.
SBATCH = """#!/bin/bash
cp "$1" {folder}/script
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
for task in $(seq 0 "$last"); do
  SUBMITIT_EXECUTOR=slurm SLURM_JOB_ID=7$task SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task \
    bash {folder}/script < /dev/null > {folder}/task_$task.log 2>&1 &
done
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do [[ $1 == *=* || $1 == --unbuffered ]] && shift 1 || shift 2; done
exec "$@"
"""


def stand_ins(folder, monkeypatch, **scripts):
    for name, text in scripts.items():
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_job_out_of_time_continues_from_its_last_checkpoint_and_a_killed_one_is_named(
    tmp_path, monkeypatch, long_run_alone
):
    monkeypatch.setattr(Job, "_results_timeout_s", 1)  # seconds to wait for the result of a job that is gone
    spec = tiny_spec(runs=[LONG, {"max_steps": 100_000, "seed": 9}])
    stopped_in_time, killed = (run_folder(tmp_path, run) for run in spec.configurations)
    before = {}

    def disturb():
        job = holder_in_mid_run(stopped_in_time)
        before.update(trajectory_files(stopped_in_time))
        os.kill(job, signal.SIGUSR2)  # what Slurm sends before the time is over
        holder = until(lambda: read_lock(killed / "lock").holder, "the other job")
        os.kill(holder.pid, signal.SIGKILL)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    # Submitit counts the last ten minutes of a job's time as its end.
    with SlurmEngine(tmp_path / "slurm", minutes=10, cluster="local") as engine:
        continued, failed = run_sweep(tmp_path, spec, engine)
    disturbing.join()
    assert continued.state == "finished"
    assert trajectory_files(stopped_in_time) == before
    assert contents(stopped_in_time) == long_run_alone
    assert "ended without a result" in failed.why
    assert "raise --memory-gb or --minutes" in failed.why
    assert [state.state for state in sweep_states(tmp_path)].count("stopped") == 1


def test_a_sweep_is_one_array_of_jobs_with_what_was_asked_for(tmp_path, monkeypatch, capsys):
    stand_ins(tmp_path, monkeypatch, sbatch=SBATCH, srun=SRUN, sacct="#!/bin/bash\necho 'JobID|State|NodeList'\n")
    spec = written(tiny_spec(grid={"seed": [1, 2]}), tmp_path / "spec.json")
    flags = ("--partition", "night", "--minutes", "90", "--memory-gb", "3", "--jobs", "2")
    out = tmp_path / "out"
    assert main(["sweep", str(spec), "--engine", "slurm", "--out", str(out), *flags]) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out
    script = (tmp_path / "script").read_text()
    for line in ("array=0-1%2", "partition=night", "time=90", "mem=3GB", "cpus-per-task=1", "nodes=1"):
        assert f"#SBATCH --{line}\n" in script
    assert str(out / "slurm") in script
    assert [state.state for state in sweep_states(out)] == ["finished"] * 2
    assert main(["sweep", str(spec), "--engine", "slurm", "--out", str(out), "--json"]) == 0  # submits nothing
    assert len(list((out / "slurm").glob("*_submitted.pkl"))) == 2


def test_no_slurm_and_refused_jobs_are_named(tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", "")
        with pytest.raises(EngineError, match=r"no Slurm here: the command srun is missing.*--engine local or dask"):
            SlurmEngine(tmp_path / "slurm")
    refuses = "#!/bin/bash\necho 'invalid partition specified: nihgt' >&2\nexit 1\n"
    stand_ins(tmp_path, monkeypatch, sbatch=refuses, srun=SRUN)
    with SlurmEngine(tmp_path / "slurm", partition="nihgt") as engine:
        engine.place("one", os.getpid)
        engine.place("two", os.getpid)
        with pytest.raises(EngineError, match=r"could not be submitted .*invalid partition.*Check --partition"):
            engine.collect(0)
