"""The further numbers of a claim: each quantity with its row over seeds and its rows of runs, and which lead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spectral_edge.replication.aggregation import identity
from spectral_edge.replication.decision.arms import PAPER_SEED
from spectral_edge.report.formatting import (
    DASH,
    checkpoint_label,
    grouped_by,
    inputs_label,
    model_label,
    number,
    statistic_label,
)
from spectral_edge.report.selection import CHECKPOINTS, task_rank
from spectral_edge.store.results import ClaimRow

__all__ = ["FEWEST_LINES", "MOST_LINES", "Line", "headline", "lines_of", "setting", "tasks_of"]

MOST_LINES, FEWEST_LINES = 24, 12
"""A figure of more lines is a table; the table of all numbers has the rest."""

_SETTING = (
    "grouping",
    "model",
    "checkpoint",
    "inputs",
    "weight_decay",
    "stride",
    "window",
    "centered",
    "method",
    "relative_epsilon",
)


@dataclass(frozen=True)
class Line:
    """One quantity: its row over several runs, where there is one, and its rows of single runs, by seed.

    Attributes:
        combined: the row that stands for several runs.
        runs: rows of single runs, the paper's seed first.
    """

    combined: ClaimRow | None
    runs: tuple[ClaimRow, ...]

    @property
    def row(self) -> ClaimRow:
        """The row whose value, null and p-values stand for the quantity."""
        return self.runs[0] if self.combined is None else self.combined

    @property
    def published(self) -> float | None:
        """The paper's number, which may stand on the row of its seed only."""
        return next((row.published for row in self._rows if row.published is not None), None)

    @property
    def is_upper_bound(self) -> bool:
        """Whether the paper prints its number as "at most"."""
        return any(row.published_is_upper_bound for row in self._rows)

    @property
    def published_peak(self) -> int | None:
        """The paper's frequency."""
        return next((row.published_peak for row in self._rows if row.published_peak is not None), None)

    @property
    def peaks(self) -> tuple[int, ...]:
        """The frequency of each run, or that of the combined row if no run has its own row."""
        return tuple(row.peak for row in (self.runs or self._rows) if row.peak is not None)

    @property
    def n_runs(self) -> int:
        """How many runs the value is about."""
        if self.combined is None:
            return len(self.runs)
        return self.combined.interval.n if self.combined.interval else len(self.combined.seeds or self.runs or "1")

    @property
    def _rows(self) -> tuple[ClaimRow, ...]:
        return self.runs if self.combined is None else (self.combined, *self.runs)

    def label(self, varying: Iterable[str]) -> str:
        """Statistic, direction and grouping in words, with those of the settings that are named in ``varying``."""
        name = statistic_label(self.row.statistic)
        return ", ".join([f"{name} of {self.row.direction}" if self.row.direction else name, *self._details(varying)])

    def short_label(self, varying: Iterable[str]) -> str:
        """The label where the statistic stands elsewhere."""
        return ", ".join([*([self.row.direction] if self.row.direction else []), *self._details(varying)]) or DASH

    def _details(self, varying: Iterable[str]) -> list[str]:
        row = self.row
        return [_setting_text(row, name) for name in varying if getattr(row, name) is not None]


def lines_of(rows: Sequence[ClaimRow]) -> list[Line]:
    """Return the quantities among ``rows`` in the order of their first row."""
    grouped: dict[tuple[object, ...], list[ClaimRow]] = {}
    for row in rows:
        grouped.setdefault(identity(row), []).append(row)
    return [line for group in grouped.values() for line in _lines(group)]


def _lines(group: list[ClaimRow]) -> list[Line]:
    single = [row for row in group if row.seed is not None]
    over = [row for row in group if row.seed is None]
    single.sort(key=lambda row: (row.seed != PAPER_SEED, row.seed or 0, row.run_id or ""))
    # Rows of equal identity over other runs are quantities of their own: only the first has the single runs.
    first = Line(over[0] if over else None, tuple(single))
    return [first, *(Line(row, ()) for row in over[1:])]


def headline(lines: Sequence[Line]) -> list[Line]:
    """Return the quantities that lead a claim's section, grouped by statistic and task.

    These are the ones that have a published number or frequency, at most `MOST_LINES`. Up to
    `FEWEST_LINES`, others follow: those over several runs first, late checkpoints first. Within each kind those with a
    null go before others, and tasks take turns.
    """
    turns: dict[tuple[object, ...], int] = {}
    order = []
    for place, line in enumerate(lines):
        rank = _rank(line)
        turn = turns[rank, line.row.task] = turns.get((rank, line.row.task), -1) + 1
        order.append((*rank, turn, place))
    order.sort()
    leading_ones = sum(tier == 0 for tier, *_ in order)
    chosen = sorted(place for *_, place in order[: min(max(leading_ones, FEWEST_LINES), MOST_LINES)])
    statistics = list(dict.fromkeys(lines[place].row.statistic for place in chosen))
    return sorted(
        (lines[place] for place in chosen),
        key=lambda line: (statistics.index(line.row.statistic), *task_rank(line.row.task)),
    )


def _rank(line: Line) -> tuple[int, bool, int]:
    row = line.row
    if line.published is not None or line.published_peak is not None:
        return 0, row.null is None, 0
    place = 0 if row.checkpoint is None else CHECKPOINTS.index(row.checkpoint)
    return 1 + (line.combined is None), row.null is None, place


def tasks_of(lines: Iterable[Line]) -> list[str]:
    """Return the tasks of the lines in the paper's order."""
    return sorted({line.row.task for line in lines}, key=task_rank)


def setting(lines: Sequence[Line]) -> tuple[tuple[str, ...], str]:
    """Return the settings in which the lines differ, and a sentence with those that they share."""
    values = {name: {getattr(line.row, name) for line in lines} - {None} for name in _SETTING}
    varying = tuple(name for name, found in values.items() if len(found) > 1)
    shared = [_setting_text(lines[0].row, name, next(iter(found))) for name, found in values.items() if len(found) == 1]
    return varying, f"All of them: {', '.join(shared)}." if shared else ""


def _setting_text(row: ClaimRow, name: str, value: object = None) -> str:
    value = getattr(row, name) if value is None else value
    texts = {
        "grouping": lambda: grouped_by(str(value)),
        "model": lambda: model_label(str(value)),
        "checkpoint": lambda: checkpoint_label(str(value)),
        "inputs": lambda: inputs_label(str(value)),
        "weight_decay": lambda: f"weight decay {number(value)}",  # type: ignore[arg-type]
        "centered": lambda: "centred" if value else "uncentred",
        "method": lambda: {"jvp": "exact derivative"}.get(str(value), str(value).replace("_", " ")),
        "relative_epsilon": lambda: f"ε = {number(value)}",  # type: ignore[arg-type]
    }
    return texts.get(name, lambda: f"{name} {value}")()
