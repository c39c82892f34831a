"""A question answered by a table: what studies beside the claims hand to the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars

__all__ = ["Point"]


@dataclass(frozen=True)
class Point:
    """One question, its answer as a table, and what to know when reading it."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of_table(cls, title: str, note: str, table: polars.DataFrame) -> Point:
        """A point whose table is a frame: numbers have three digits, booleans are yes or no, underscores are spaces."""
        columns = tuple(name.replace("_", " ") for name in table.columns)
        return cls(title, note, columns, tuple(tuple(map(_cell, row)) for row in table.rows()))


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
