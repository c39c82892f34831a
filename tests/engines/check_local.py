"""Workers that are killed while idle or stopped at work."""

import os
import signal
import time

import pytest

from spectral_edge.engines import LocalEngine


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
