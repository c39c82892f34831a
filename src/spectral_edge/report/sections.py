"""A section a claim: its headline numbers, both verdicts, figures, and the command that computes them again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from spectral_edge.report.formatting import DASH, bounds, enumeration, measurement, null_label, number
from spectral_edge.report.lines import Line, headline, leading, lines_of, setting
from spectral_edge.report.tables import Column
from spectral_edge.store.results import Claims, Verdict

__all__ = [
    "ClaimSection",
    "HeadlineRow",
    "claim_section",
    "claim_sections",
    "draws",
    "each_run",
    "headline_rows",
    "leading_row",
    "published",
    "pvalue",
    "recompute",
]

_PROFILES = ("quick", "paper")


@dataclass(frozen=True)
class HeadlineRow:
    """A quantity as a line of the headline table."""

    line: Line
    quantity: str

    @property
    def null_kind(self) -> str:
        """The deciding null in words."""
        return DASH if self.line.row.null is None else null_label(self.line.row.null.kind)


@dataclass(frozen=True)
class ClaimSection:
    """What stands under the heading of one claim.

    ``about`` has the setting all numbers share; ``command`` computes this claim again, ``None`` where no command does.
    """

    verdict: Verdict
    about: str
    columns: tuple[Column, ...]
    rows: tuple[HeadlineRow, ...]
    command: str | None


def claim_section(verdict: Verdict, claims: Claims) -> ClaimSection:
    """Return the section of ``verdict``'s claim without its figures."""
    lines = lines_of([row for row in claims.rows if row.claim == verdict.claim])
    rows, shared = headline_rows(lines)
    chosen = [row.line for row in rows]
    return ClaimSection(
        verdict, _about(chosen, len(lines), shared), _columns(chosen), rows, recompute(claims.profile, [verdict.claim])
    )


def claim_sections(claims: Claims) -> list[ClaimSection]:
    """Return the section of every judged claim, in the order of the claims."""
    return [claim_section(verdict, claims) for verdict in claims.verdicts]


def headline_rows(lines: Sequence[Line]) -> tuple[tuple[HeadlineRow, ...], str]:
    """Return the headline quantities with their labels, and the sentence on the settings they share."""
    chosen = headline(lines)
    varying, shared = setting(chosen)
    return tuple(HeadlineRow(line, line.label(varying)) for line in chosen), shared


def leading_row(lines: Sequence[Line]) -> HeadlineRow | None:
    """Return the one quantity that stands for a claim, under the same label as among the headline quantities."""
    first = leading(lines)
    return next((row for row in headline_rows(lines)[0] if row.line is first), None)


def recompute(profile: str, claims: Sequence[str] = ()) -> str | None:
    """Return the command that computes these claims (all of the profile if none is named) again."""
    if profile not in _PROFILES:
        return None
    chosen = f" --claims {' '.join(shlex.quote(claim) for claim in claims)}" if claims else ""
    return f"spectral-edge reproduce --profile {profile}{chosen} --out DIR"


def published(line: Line) -> str:
    """Return the paper's number: ``0.330``, ``≤ 0.150`` or a dash."""
    text = measurement(line.published)
    return f"≤ {text}" if line.is_upper_bound and line.published is not None else text


def each_run(line: Line) -> str:
    """Return the value of each run, the paper's seed first; a dash where no run has its own."""
    return ", ".join(measurement(row.measured) for row in line.runs) or DASH


def pvalue(line: Line) -> str:
    """Return the p-value of the deciding null, marked where small values are the claim."""
    null = line.row.null
    if null is None:
        return DASH
    return measurement(null.pvalue) + (" (less)" if null.alternative == "less" else "")


def draws(n: int, combined: int | None) -> int:
    """Return the null draws of one run: a row over seeds counts those of all its runs."""
    return n // (combined or 1)


def _about(lines: list[Line], total: int, shared: str) -> str:
    if not lines:
        return "No numbers of this claim are stored."
    nulls = {
        f"{null_label(null.kind)} ({draws(null.n, null.combined)} draws)"
        for null in (line.row.null for line in lines)
        if null is not None
    }
    parts = [f"Deciding null: {enumeration(sorted(nulls))}." if nulls else "No null is stored.", shared]
    if len(lines) < total:
        parts.append(
            f"Shown are {len(lines)} of {total} quantities: those that decide the verdict (●) or have a published "
            "value, then some over several seeds; tables/claims.csv has all."
        )
    return " ".join(part for part in parts if part)


def _interval(row: HeadlineRow) -> str:
    interval = row.line.row.interval
    return DASH if interval is None else bounds(interval.low, interval.high)


def _null_text(row: HeadlineRow, field: str) -> str:
    null = row.line.row.null
    return DASH if null is None else measurement(getattr(null, field))


def _columns(lines: list[Line]) -> tuple[Column, ...]:
    kinds = {line.row.null.kind for line in lines if line.row.null is not None}
    columns = [
        Column("task", lambda row: row.line.row.task, numeric=False),
        Column("quantity", lambda row: f"{row.quantity}{' ●' if row.line.decides else ''}", numeric=False),
        Column("published", lambda row: published(row.line)),
        Column("ours", lambda row: measurement(row.line.row.measured)),
        Column("95 % interval", _interval),
        Column("runs", lambda row: number(row.line.n_runs)),
        Column("each run", lambda row: each_run(row.line)),
        Column("null mean", lambda row: _null_text(row, "mean")),
        Column("null 95 %", lambda row: _null_text(row, "quantile95")),
        Column("p", lambda row: pvalue(row.line)),
        Column("adjusted p", lambda row: _null_text(row, "pvalue_adjusted")),
    ]
    if len(kinds) > 1:
        columns.append(Column("null", lambda row: row.null_kind, numeric=False))
    if any(line.published_peak is not None for line in lines):
        columns.append(Column("ω of each run", lambda row: ", ".join(map(str, row.line.peaks)) or DASH))
        columns.append(Column("published ω", lambda row: number(row.line.published_peak)))
    return tuple(columns)
