"""The rows behind the answers, from the gathered tables: one a (claim, run, direction, statistic, null)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectral_edge.replication.claims.question import Question
from spectral_edge.replication.decision.answers import rows_of
from spectral_edge.replication.decision.contrasts import (
    agreements,
    declines,
    gap_contrasts,
    inherited_rows,
)
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.statistics import adjust
from spectral_edge.store import EvidenceRow

if TYPE_CHECKING:
    import polars

__all__ = ["evidence_rows"]

_COLUMNS = (
    "task", "seed", "copy", "weight_decay", "step", "checkpoint", "stride", "window", "centered", "method",
    "definition", "grouping", "inputs", "direction", "statistic", "null", "measured", "null_mean", "null_std",
    "null_quantile95", "pvalue", "draws", "peak",
)  # fmt: skip
_OF_EDGES = ("seeds", "copies", "trunk", "reproduction")
_OF_RUNS = ("seeds", "copies", "reproduction")
_ROUNDING = 1e-9
"""Relative to the null's mean, below which its standard deviation is rounding and an effect has no meaning."""


def evidence_rows(
    rows: polars.DataFrame | None, series: polars.DataFrame | None, protocol: Protocol
) -> list[EvidenceRow]:
    """The rows of edges that the answers are computed from, in the order of the questions.

    Of directions: those behind *exists* and *specific*, of v1 without its part along the weights, and of hybrids, which
    have the published numbers. Of runs (C1, C2): each run's number beside the mean of what it is compared with.

    Args:
        rows: of :func:`~spectral_edge.replication.decision.measure.measure_modes` and its like; ``None`` if none.
        series: of :func:`~spectral_edge.replication.decision.series.measure_series`; ``None`` if none.
        protocol: its questions.
    """
    found: list[EvidenceRow] = []
    for question in protocol.questions:
        if question.claim in ("C1", "C2"):
            found += [] if series is None else _of_series(question, series, protocol)
        elif rows is not None:
            found += _of_directions(question, rows)
    return found


def _of_directions(question: Question, rows: polars.DataFrame) -> list[EvidenceRow]:
    import polars

    nulls = {question.exists, *question.specific}
    nulls |= {"inputs"} if question.exists.startswith("above") else set()
    own = rows.filter(polars.col("arm").is_in(_OF_EDGES))
    if question.claim == "C11":
        chosen = [inherited_rows(rows)]
    else:
        chosen = [rows_of(question, own)]
        if question.direction in ("edge", "v1"):
            chosen.append(rows_of(question, own, "v1-theta").filter(null="weights"))
    found: list[EvidenceRow] = []
    for part in chosen:
        found += _adjusted([_row(question, line) for line in part.iter_rows(named=True) if line["null"] in nulls])
    if question.published is not None:
        hybrids = rows_of(question.as_printed, rows.filter(arm="hybrid")).filter(null="isotropic")
        found += _adjusted([_row(question, line, question.published) for line in hybrids.iter_rows(named=True)])
    return found


def _row(question: Question, line: dict[str, Any], published: float | None = None) -> EvidenceRow:
    values = {name: line[name] for name in _COLUMNS}
    spread, offset = line["null_std"], line["measured"] - line["null_mean"]
    if question.alternative == "less" and values["pvalue"] is not None:
        n = line["draws"]  # b draws at or above the measured number leave n - b below it
        values["pvalue"] = min(1.0, (n + 2) / (n + 1) - values["pvalue"])
    steady = spread is None or spread <= _ROUNDING * max(abs(line["null_mean"]), _ROUNDING)
    return EvidenceRow(
        claim=question.claim,
        run=line["run_id"],
        effect=None if steady else offset / spread,
        published=published,
        **values,
    )


def _adjusted(rows: Sequence[EvidenceRow]) -> list[EvidenceRow]:
    """With p-values adjusted over the rows of a null."""
    found = list(rows)
    for null in dict.fromkeys(row.null for row in rows):
        places = {i: row.pvalue for i, row in enumerate(rows) if row.null == null and row.pvalue is not None}
        for i, value in zip(places, adjust(list(places.values())), strict=True):
            found[i] = found[i].model_copy(update={"pvalue_adjusted": float(value)})
    return found


def _of_series(question: Question, series: polars.DataFrame, protocol: Protocol) -> list[EvidenceRow]:
    """Each run's decline (C1) or agreement (C2) beside the mean of what it is compared with."""
    import polars

    fresh = series.filter(polars.col("arm").is_in(_OF_RUNS))
    if fresh.is_empty():
        return []
    lines = _declines_beside_nulls(fresh, series) if question.claim == "C1" else agreements(fresh).to_dicts()
    origin = {
        "checkpoint": None, "stride": protocol.stride, "window": 10, "centered": False, "method": None,
        "grouping": None, "inputs": "all", "direction": "run", "statistic": question.statistic,
        "definition": question.definition, "null_std": None, "null_quantile95": None, "pvalue": None, "draws": None,
        "peak": None,
    }  # fmt: skip
    return [_row(question, origin | line) for line in lines]


def _declines_beside_nulls(fresh: polars.DataFrame, series: polars.DataFrame) -> list[dict[str, Any]]:
    """Each fresh run's decline of g23 beside that of its update norm, and beside the means of the controls."""
    norms = dict(declines(fresh, "update_norm").select("run_id", "decline").iter_rows())
    groups = {null: contrast.reference for null, contrast in gap_contrasts(series).items() if contrast.reference.size}
    lines = []
    for line in declines(fresh).filter(generalises=True, stopped=True).iter_rows(named=True):
        null_means = {"update norm": norms[line["run_id"]]} | {null: float(r.mean()) for null, r in groups.items()}
        lines += [line | {"null": n, "measured": line["decline"], "null_mean": mean} for n, mean in null_means.items()]
    return lines
