"""One figure of a benchmark, and how two sides are timed: in turns, so that noise of the machine falls on both."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

__all__ = ["Row", "in_turns", "median_row", "show", "timed"]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        unit: of ``value``, ``least`` and ``largest``: "x" for a ratio, "s", "%", or "" for an exponent.
        goal: in words, empty if there is none.
        value: median of the rounds; ``least`` and ``largest`` of them.
        least: see ``value``.
        largest: see ``value``.
        rounds: how many.
        met: whether the goal is; ``None`` without one.
        arithmetic: what has to be computed, in words with numbers.
        moved: bytes that have to be moved, likewise.
        note: further figures, and what bounds this one.
    """

    name: str
    unit: str
    goal: str
    value: float
    least: float
    largest: float
    rounds: int
    met: bool | None
    arithmetic: str = ""
    moved: str = ""
    note: str = ""


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(rounds: int, *sides: Callable[[], object]) -> list[tuple[float, ...]]:
    """Seconds of each side in each round, after one call of each that does not count."""
    for side in sides:
        side()
    return [tuple(timed(side) for side in sides) for _ in range(rounds)]


def median_row(
    name: str,
    unit: str,
    found: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    arithmetic: str = "",
    moved: str = "",
    note: str = "",
) -> Row:
    """A row of the median, with a goal on one side or none."""
    value = statistics.median(found)
    goal, met = "", None
    if at_least is not None:
        goal, met = f">= {at_least:g} {unit}".strip(), value >= at_least
    elif at_most is not None:
        goal, met = f"<= {at_most:g} {unit}".strip(), value <= at_most
    return Row(name, unit, goal, value, min(found), max(found), len(found), met, arithmetic, moved, note)


def show(row: Row) -> None:
    """Print a row as one line of JSON, for :mod:`benchmarks.__main__` to collect."""
    print(json.dumps(asdict(row), ensure_ascii=False), flush=True)
