"""The stored results as data frames for the CSV files, and as rows of text for the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import BaseModel

from spectral_edge.report.formatting import DASH, bounds, measurement, null_label, number, yes_no
from spectral_edge.store import EvidenceRow
from spectral_edge.store.results import ClaimRow, Interval, NullSummary, PeakNull, RunSummary

__all__ = [
    "EVIDENCE_COLUMNS",
    "EVIDENCE_FIELDS",
    "ROW_COLUMNS",
    "RUN_COLUMNS",
    "Column",
    "environment_items",
    "evidence_frame",
    "interval",
    "null_kind",
    "numbers_frame",
    "of_null",
    "runs_frame",
]

_NESTED: dict[str, type[BaseModel]] = {
    "null": NullSummary,
    "permutation_null": NullSummary,
    "peak_null": PeakNull,
    "permutation_peak_null": PeakNull,
    "interval": Interval,
}
EVIDENCE_FIELDS = tuple(field.alias or name for name, field in EvidenceRow.model_fields.items())
_LISTS = ("top", "seeds", "further_nulls")


@dataclass(frozen=True)
class Column:
    """One column of a table on the page: its heading, the text of a cell, and whether it holds numbers."""

    heading: str
    text: Callable[[Any], str]
    numeric: bool = True


def numbers_frame(rows: Sequence[ClaimRow]) -> pl.DataFrame:
    """Return one line per row with the fields of ``ClaimRow`` as columns.

    A null distribution is spread over columns ``null.mean``, ``null.pvalue``, …; lists are written as JSON.
    """
    columns = [
        f"{name}.{inner}" if inner else name
        for name in ClaimRow.model_fields
        for inner in (_NESTED[name].model_fields if name in _NESTED else ("",))
    ]
    return _frame([_flat(row) for row in rows], columns)


def evidence_frame(rows: Sequence[EvidenceRow]) -> pl.DataFrame:
    """Return one line per row behind an answer."""
    return _frame([row.model_dump(by_alias=True) for row in rows], list(EVIDENCE_FIELDS))


def runs_frame(runs: Sequence[RunSummary]) -> pl.DataFrame:
    """Return one line per run; what is known per checkpoint is written as JSON."""
    lines = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in run.model_dump().items()}
        for run in runs
    ]
    return _frame(lines, list(RunSummary.model_fields))


def _flat(row: ClaimRow) -> dict[str, Any]:
    line = row.model_dump()
    for name in _LISTS:
        line[name] = json.dumps(line[name]) if line[name] else None
    for name in _NESTED:
        nested = line.pop(name) or {}
        line |= {f"{name}.{inner}": value for inner, value in nested.items()}
    return line


def _frame(lines: list[dict[str, Any]], columns: list[str]) -> pl.DataFrame:
    series = [pl.Series(name, [line.get(name) for line in lines], strict=False) for name in columns]
    return pl.DataFrame(series)


def _plain(name: str) -> Callable[[Any], str]:
    def text(row: Any) -> str:
        value = getattr(row, name)
        if isinstance(value, bool):
            return yes_no(value)
        return value if isinstance(value, str) else number(value)

    return text


def _measured(name: str) -> Callable[[Any], str]:
    def text(row: Any) -> str:
        return measurement(getattr(row, name))

    return text


def of_null(name: str, field: str) -> Callable[[ClaimRow], str]:
    """Return how a number of the null under this name is written."""

    def text(row: Any) -> str:
        nested = getattr(row, name)
        return DASH if nested is None else measurement(getattr(nested, field))

    return text


def interval(row: ClaimRow) -> str:
    """Return the interval, or a dash."""
    return DASH if row.interval is None else bounds(row.interval.low, row.interval.high)


def null_kind(row: ClaimRow) -> str:
    """Return the deciding null in words, or a dash."""
    return DASH if row.null is None else null_label(row.null.kind)


def _further(row: ClaimRow) -> str:
    return "; ".join(f"{null_label(null.kind)} {measurement(null.pvalue)}" for null in row.further_nulls) or DASH


def _seeds(row: ClaimRow) -> str:
    return number(row.seed) if row.seeds is None else ", ".join(map(str, row.seeds))


def _analysed(run: RunSummary) -> str:
    return ", ".join(f"{name} {step}" for name, step in run.analysed_steps.items()) or DASH


def _positions(run: RunSummary) -> str:
    return ", ".join(f"{name} {k}" for name, k in run.edge_position.items()) or DASH


def _errors(run: RunSummary) -> str:
    found = run.finite_difference_error.items()
    return "; ".join(f"{name} " + " ".join(f"{100 * e:.1f}" for e in errors) for name, errors in found) or DASH


_WHAT_COLUMNS = (
    Column("claim", _plain("claim"), numeric=False),
    Column("task", _plain("task"), numeric=False),
    Column("direction", _plain("direction"), numeric=False),
    Column("statistic", _plain("statistic"), numeric=False),
    Column("grouping", _plain("grouping"), numeric=False),
)
_WHERE_COLUMNS = (
    Column("checkpoint", _plain("checkpoint"), numeric=False),
    Column("step", _plain("step")),
    Column("stride", _plain("stride")),
    Column("window", _plain("window")),
    Column("centred", _plain("centered"), numeric=False),
    Column("method", _plain("method"), numeric=False),
)

ROW_COLUMNS = (
    *_WHAT_COLUMNS,
    Column("measured", _measured("measured")),
    Column("95 % interval", interval),
    Column("published", _measured("published")),
    Column("null", null_kind, numeric=False),
    Column("null mean", of_null("null", "mean")),
    Column("null s.d.", of_null("null", "std")),
    Column("null 95 %", of_null("null", "quantile95")),
    Column("p", of_null("null", "pvalue")),
    Column("permutation p", of_null("permutation_null", "pvalue")),
    Column("further p", _further, numeric=False),
    Column("peak ω", _plain("peak")),
    Column("published ω", _plain("published_peak")),
    Column("peak p", of_null("peak_null", "pvalue")),
    *_WHERE_COLUMNS,
    Column("inputs", _plain("inputs"), numeric=False),
    Column("ε", _plain("relative_epsilon")),
    Column("seed", _seeds),
    Column("weight decay", _plain("weight_decay")),
    Column("trained on", _plain("model"), numeric=False),
    Column("run", _plain("run_id"), numeric=False),
)

EVIDENCE_COLUMNS = (
    *_WHAT_COLUMNS,
    Column("inputs", _plain("inputs"), numeric=False),
    Column("measured", _measured("measured")),
    Column("published", _measured("published")),
    Column("peak ω", _plain("peak")),
    Column("null", _plain("null"), numeric=False),
    Column("null mean", _measured("null_mean")),
    Column("null s.d.", _measured("null_std")),
    Column("effect, null s.d.", _measured("effect")),
    Column("p", _measured("pvalue")),
    Column("draws", _plain("draws")),
    *_WHERE_COLUMNS,
    Column("definition", _plain("definition"), numeric=False),
    Column("seed", _plain("seed")),
    Column("run", _plain("run"), numeric=False),
)

RUN_COLUMNS = (
    Column("run", _plain("run_id"), numeric=False),
    Column("task", _plain("task"), numeric=False),
    Column("seed", _plain("seed")),
    Column("weight decay", _plain("weight_decay")),
    Column("steps", _plain("steps")),
    Column("grokked at step", _plain("grok_step")),
    Column("test accuracy", _measured("test_accuracy")),
    Column("analysed at step", _analysed, numeric=False),
    Column("k*", _positions, numeric=False),
    Column("finite difference off by, % (v1 …)", _errors, numeric=False),
)


def environment_items(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the environment as pairs of text."""
    items: list[tuple[str, str]] = []
    for name, value in environment.items():
        if isinstance(value, bool):
            items.append((name, yes_no(value)))
        else:
            items.append((name, DASH if value is None else str(value)))
    return items
