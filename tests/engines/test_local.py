import os
import signal


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
