"""The error for a name that no registry knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["unknown_name"]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Build the error for an unknown ``name``: the nearest known spelling, then all of them.

    Args:
        kind: What was asked for, in words ("operation", "grouping").
        name: The name that was not found.
        known: The names that would have been.

    Returns:
        The exception, for the caller to raise.

    >>> print(unknown_name("operation", "mull", ["add", "mul"]))
    unknown operation 'mull'; did you mean 'mul'? Known: add, mul
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return ValueError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")
