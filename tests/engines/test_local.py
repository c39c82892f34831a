import os
import signal

import pytest

from spectral_edge.engines import EngineError, LocalEngine


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_unpicklable():
    raise Unpicklable("one", "two")


def collected(engine, n):
    ended = {}
    while len(ended) < n:
        ended |= {end.name: end for end in engine.collect(30)}
    return ended


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
