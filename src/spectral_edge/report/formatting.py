"""How values and names are spelled in the report: numbers, marks for verdicts, operations, groupings."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = [
    "DASH",
    "Mark",
    "duration",
    "grouping_label",
    "mark",
    "measurement",
    "number",
    "operation",
    "plural",
    "yes_no",
]

DASH = "—"

_OPERATIONS = {
    "add": "a + b",
    "sub": "a − b",
    "mul": "a · b",
    "x2_y2": "a² + b²",
    "x2_xy_y2": "a² + ab + b²",
    "x3_xy": "a³ + ab",
}

_GROUPINGS = {
    "sum": "a + b",
    "difference": "a − b",
    "discrete_log": "log a + log b",
    "discrete_log_difference": "log a − log b",
    "gaussian_radial": "log u + log v",
    "gaussian_angular": "log u − log v",
}


class Mark(NamedTuple):
    """A verdict as a sign, a word and a style class, so that no reader depends on the colour."""

    sign: str
    word: str
    style: str


def mark(value: bool | None) -> Mark:
    """Return the sign and the word for a verdict; ``None`` means the claim was not decided."""
    if value is None:
        return Mark(DASH, "", "undecided")
    return Mark("✓", "yes", "yes") if value else Mark("✗", "no", "no")


def number(value: float | None, digits: int = 3) -> str:
    """Return ``value`` to ``digits`` significant digits, integers in full, ``None`` as a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def measurement(value: float | None) -> str:
    """Return ``value`` to three significant digits, trailing zeros kept, so that a column lines up."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def yes_no(value: bool | None) -> str:
    """Return ``yes``, ``no`` or a dash."""
    return DASH if value is None else ("yes" if value else "no")


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: ``1 run``, ``4 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a wall-clock time in the largest unit that leaves a number above one."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def operation(task: str) -> str:
    """Return ``task`` with its formula where it is known: ``add (a + b)``."""
    return f"{task} ({_OPERATIONS[task]})" if task in _OPERATIONS else task


def grouping_label(grouping: str) -> str:
    """Return a grouping's name with its formula: ``sum (a + b)``, ``output (a · b)``."""
    kind, _, task = grouping.partition(":")
    formula = _OPERATIONS.get(task)
    if kind == "output" and formula:
        return f"output ({formula})"
    if kind == "output_discrete_log" and formula:
        return f"log of output ({formula})"
    return f"{grouping} ({_GROUPINGS[grouping]})" if grouping in _GROUPINGS else grouping
