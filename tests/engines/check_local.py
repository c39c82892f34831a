"""Workers that are killed while idle or stopped at work."""

import os
import signal
import time

import pytest

from engines.test_local import collected, raise_unpicklable
from spectral_edge.engines import EngineError, LocalEngine


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_leaving_stops_what_is_under_way():
    with LocalEngine(1) as engine:
        engine.place("pid", os.getpid)
        (ended,) = engine.collect(60)
        engine.place("sleeps", time.sleep, 600)
        engine.place("waits", time.sleep, 600)
        assert engine.running == {"sleeps"}
        started = time.monotonic()
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(ended.value, 0)


def test_a_worker_killed_while_idle_is_replaced():
    with LocalEngine(1) as engine:
        engine.place("pid", os.getpid)
        (first,) = engine.collect(30)
        os.kill(first.value, signal.SIGKILL)
        time.sleep(0.5)
        engine.place("again", os.getpid)
        (second,) = engine.collect(30)
    assert second.result() != first.value


def test_a_killed_process_costs_its_own_call_only():
    with LocalEngine(1) as engine:
        for name, function, arguments in (
            ("before", os.getenv, ("OMP_NUM_THREADS",)),
            ("killed", kill_myself, ()),
            ("exited", os._exit, (3,)),
            ("raised", int, ("x",)),
            ("strange", raise_unpicklable, ()),
            ("silent", compile, ("1", "", "eval")),  # a code object cannot be pickled
            ("after", os.getpid, ()),
        ):
            engine.place(name, function, *arguments)
        ended = collected(engine, 7)
        assert ended["before"].result() == "1"
        with pytest.raises(EngineError, match=r"killed: its worker process was killed by SIGKILL .*continues"):
            ended["killed"].result()
        with pytest.raises(EngineError, match="ended with status 3"):
            ended["exited"].result()
        with pytest.raises(ValueError, match="invalid literal") as raised:
            ended["raised"].result()
        assert "in _answer" in raised.value.__notes__[0]
        assert str(ended["strange"].error) == "Unpicklable: one and two"
        assert "pickle" in str(ended["silent"].error)
        assert ended["after"].result() != os.getpid()
