"""Real schedulers and workers on loopback, started and stopped here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import spectral_edge
from spectral_edge.engines import EngineError
from spectral_edge.engines import dask as dask_engine
from spectral_edge.engines.dask import DaskEngine
from spectral_edge.engines.engine import arithmetic_settings
from spectral_edge.replication.sweep import run_sweep
from spectral_edge.subjects import run_folder
from support.sweeping import LONG, holder_in_mid_run, tiny_spec, trajectory_files, until
from support.tiny_runs import contents

WORKER = ("--no-nanny", "--nthreads", "1")


class Cluster:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder, opened):
        self.folder, self._opened = folder, opened
        self.file = folder / "scheduler.json"

    def start(self, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, arguments)],
            env=os.environ | arithmetic_settings() | environment,
            stderr=(self.folder / f"{arguments[0]}.log").open("a"),
        )
        self._opened.callback(process.wait)
        self._opened.callback(process.kill)
        return process

    def scheduler(self, **environment):
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self.file)
        process = self.start("scheduler", *options, **environment)
        until(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"), "the scheduler")
        self.address = json.loads(self.file.read_text())["address"]
        return process

    def worker(self, *options, **environment):
        return self.start("worker", self.address, "--host", "127.0.0.1", "--no-dashboard", *options, **environment)

    def wait_for(self, workers):
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=90)


@pytest.fixture
def cluster(tmp_path):
    with ExitStack() as opened:
        yield Cluster(tmp_path, opened)


def test_a_worker_killed_in_mid_run_costs_nothing_before_its_last_checkpoint(tmp_path, cluster, long_run_alone):
    cluster.scheduler()
    workers = [cluster.worker(*WORKER) for _ in range(2)]
    cluster.wait_for(2)
    spec = tiny_spec(runs=[LONG, {"seed": 7}, {"seed": 8}])
    victim = run_folder(tmp_path / "out", spec.configurations[0])
    seen = {}

    def kill():
        seen["pid"] = holder_in_mid_run(victim)
        seen["files"] = trajectory_files(victim)
        os.kill(seen["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with DaskEngine(cluster.address) as engine:
        outcomes = run_sweep(tmp_path / "out", spec, engine)
    killer.join()
    assert [(outcome.state, outcome.computed) for outcome in outcomes] == [("finished", True)] * 3
    (survivor,) = {worker.pid for worker in workers} - {seen["pid"]}
    assert outcomes[0].pid == survivor
    assert trajectory_files(victim) == seen["files"]
    assert contents(victim) == long_run_alone


def test_a_run_that_needs_too_much_memory_is_named_and_stops_no_other(tmp_path, cluster):
    cluster.scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    cluster.worker("--nthreads", "1", "--memory-limit", "700MB")  # with a nanny, which ends it and starts another
    cluster.wait_for(1)
    spec = tiny_spec(runs=[{"d_model": 1024, "d_mlp": 64, "window": 40}, {"seed": 8}])
    with DaskEngine(cluster.address) as engine:
        big, small = run_sweep(tmp_path / "out", spec, engine)
    assert f"{big.run_id}: 1 workers died while they computed it" in big.why
    assert "give them more memory" in big.why
    assert small.state == "finished"


def test_workers_that_would_compute_something_else_are_refused_with_what_differs(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(dask_engine, "_CONNECT_SECONDS", 2)
    scheduler = cluster.scheduler()
    with pytest.raises(EngineError, match=r"has no workers. Start some with `OMP_NUM_THREADS=1 .*dask worker tcp://"):
        DaskEngine(cluster.address)
    other = tmp_path / "other"
    shutil.copytree(Path(spectral_edge.__file__).parent, other / "spectral_edge")
    with (other / "spectral_edge" / "grokking" / "training.py").open("a") as file:
        file.write("# edited on one machine only\n")
    (other / "sitecustomize.py").write_text('import numpy\nnumpy.__version__ = "1.9.9"\n')
    cluster.worker(*WORKER, PYTHONPATH=str(other))
    cluster.worker("--no-nanny", "--nthreads", "2")
    cluster.worker(*WORKER, OMP_NUM_THREADS="4")
    cluster.wait_for(3)
    with pytest.raises(EngineError) as refused:
        DaskEngine(cluster.address)
    message = str(refused.value)
    assert "numpy 1.9.9, not " in message
    assert message.count("spectral-edge ") == 1
    assert "(source " in message
    assert "has 2 threads, not 1" in message
    assert "has OMP_NUM_THREADS=4, not 1" in message
    assert "Nothing was placed." in message
    scheduler.kill()
    with pytest.raises(EngineError, match=r"no dask scheduler answers there .*leave --scheduler out"):
        DaskEngine(cluster.address)


def test_workers_that_are_all_gone_and_a_scheduler_that_goes_away_are_named(cluster, monkeypatch):
    monkeypatch.setattr(dask_engine, "_CONNECT_SECONDS", 2)
    monkeypatch.setattr(dask_engine, "_WORKER_SECONDS", 0.5)
    scheduler = cluster.scheduler()
    worker = cluster.worker(*WORKER)
    cluster.wait_for(1)
    with DaskEngine(cluster.address) as engine:
        engine.place("sleeps", time.sleep, 600)
        assert engine.collect(0.5) == []
        worker.kill()
        with pytest.raises(EngineError, match=r"has had no worker for 0.5 s. Start some with"):
            until(lambda: engine.collect(0.5), "the loss of the worker")
        monkeypatch.setattr(dask_engine, "_WORKER_SECONDS", 600)
        scheduler.kill()
        with pytest.raises(EngineError, match=r"connection to the scheduler was lost. Finished runs are kept"):
            until(lambda: engine.collect(0.5), "the loss of the scheduler")
