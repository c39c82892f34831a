"""A section a claim: its answers and their reasons, further numbers, and the command that computes those again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.report.answers import EffectLine, effect_lines
from spectral_edge.report.formatting import DASH, enumeration, measurement, null_label, number
from spectral_edge.report.lines import Line, headline, lines_of, setting
from spectral_edge.report.tables import Column, interval, null_kind, of_null
from spectral_edge.store import Answer, ClaimRow, Claims, Numbers

__all__ = [
    "ClaimSection",
    "HeadlineRow",
    "claim_sections",
    "draws",
    "each_run",
    "headline_rows",
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


@dataclass(frozen=True)
class ClaimSection:
    """What stands under the heading of one claim.

    Attributes:
        claim, statement: what it is about.
        answer: the three answers; ``None`` where only numbers are stored.
        effects: the excess over each null.
        about: the setting that all further numbers share.
        columns, rows: further numbers.
        command: what computes the further numbers again; ``None`` where no command does.
    """

    claim: str
    statement: str
    answer: Answer | None
    effects: tuple[EffectLine, ...]
    about: str
    columns: tuple[Column, ...]
    rows: tuple[HeadlineRow, ...]
    command: str | None


def claim_sections(claims: Claims | None, numbers: Numbers) -> list[ClaimSection]:
    """Return the section of every claim that has an answer or numbers, in the order of the claims."""
    answers = {answer.claim: answer for answer in (claims.answers if claims else ())}
    measured = {row.claim for row in numbers.rows}
    return [
        _section(claim, statement, answers.get(claim), numbers)
        for claim, statement in STATEMENTS.items()
        if claim in answers or claim in measured
    ]


def _section(claim: str, statement: str, answer: Answer | None, numbers: Numbers) -> ClaimSection:
    lines = lines_of([row for row in numbers.rows if row.claim == claim])
    rows, shared = headline_rows(lines)
    chosen = [row.line for row in rows]
    return ClaimSection(
        claim,
        statement,
        answer,
        tuple(effect_lines(answer)) if answer else (),
        _about(chosen, len(lines), shared) if lines else "",
        _columns(chosen) if lines else (),
        rows,
        recompute(numbers.profile, [claim]) if lines else None,
    )


def headline_rows(lines: Sequence[Line]) -> tuple[tuple[HeadlineRow, ...], str]:
    """Return the headline quantities with their labels, and the sentence on the settings they share."""
    chosen = headline(lines)
    varying, shared = setting(chosen)
    return tuple(HeadlineRow(line, line.label(varying)) for line in chosen), shared


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
            f"Shown are {len(lines)} of {total} quantities: those that have a published value, then some over "
            "several seeds; tables/numbers.csv has all."
        )
    return " ".join(part for part in parts if part)


def _of_row(text: Callable[[ClaimRow], str]) -> Callable[[HeadlineRow], str]:
    return lambda headline: text(headline.line.row)


def _columns(lines: list[Line]) -> tuple[Column, ...]:
    kinds = {line.row.null.kind for line in lines if line.row.null is not None}
    columns = [
        Column("task", lambda row: row.line.row.task, numeric=False),
        Column("quantity", lambda row: row.quantity, numeric=False),
        Column("published", lambda row: published(row.line)),
        Column("ours", lambda row: measurement(row.line.row.measured)),
        Column("95 % interval", _of_row(interval)),
        Column("runs", lambda row: number(row.line.n_runs)),
        Column("each run", lambda row: each_run(row.line)),
        Column("null mean", _of_row(of_null("null", "mean"))),
        Column("null 95 %", _of_row(of_null("null", "quantile95"))),
        Column("p", lambda row: pvalue(row.line)),
    ]
    if len(kinds) > 1:
        columns.append(Column("null", _of_row(null_kind), numeric=False))
    if any(line.published_peak is not None for line in lines):
        columns.append(Column("ω of each run", lambda row: ", ".join(map(str, row.line.peaks)) or DASH))
        columns.append(Column("published ω", lambda row: number(row.line.published_peak)))
    return tuple(columns)
