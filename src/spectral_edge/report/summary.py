"""The abstract of the report: what was tested, and which claims hold, written from the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spectral_edge.report.formatting import duration, enumeration, null_label, number, plural
from spectral_edge.report.sections import draws
from spectral_edge.report.selection import task_rank
from spectral_edge.store.results import ClaimRow, Claims, NullSummary, Verdict

__all__ = ["Outcome", "computing_time", "outcomes", "scope"]


class Outcome(NamedTuple):
    """One way in which claims came out: a heading and a sentence that names them."""

    heading: str
    text: str


def scope(claims: Claims) -> str:
    """Return what was tested, on which runs and against which nulls."""
    tasks = sorted({run.task for run in claims.runs}, key=task_rank)
    seeds = sorted({run.seed for run in claims.runs})
    decays = sorted({run.weight_decay for run in claims.runs}, reverse=True)
    details = [
        f"operations {enumeration(tasks)}" if len(tasks) > 1 else f"operation {enumeration(tasks) or 'none'}",
        f"{'seed' if len(seeds) == 1 else 'seeds'} {enumeration([str(seed) for seed in seeds]) or 'none'}",
    ]
    if decays:
        details.append(f"weight decay {enumeration([number(decay) for decay in decays])}")
    subject = plural(len(claims.verdicts), "claim") if claims.verdicts else "no claim"
    first = (
        f"This report tests {subject} of arXiv:2604.06256 on {plural(len(claims.runs), 'training run')} "
        f"({'; '.join(details)}): {plural(len(claims.rows), 'measured number')}, {claims.profile} profile, computed in "
        f"{computing_time(claims)}."
    )
    return " ".join([first, *_nulls(claims.rows)])


def computing_time(claims: Claims) -> str:
    """Return the time of all processes that trained and analysed, each on one thread, or of the command if unknown.

    A command that was interrupted, or that found runs finished, took less than its results did.
    """
    if not claims.stage_seconds:
        return duration(claims.wall_seconds)
    return f"{duration(sum(claims.stage_seconds.values()))} of single-thread processes"


def _nulls(rows: Sequence[ClaimRow]) -> list[str]:
    drawn: dict[str, set[int]] = {}
    for null in _all_nulls(rows):
        drawn.setdefault(null_label(null.kind), set()).add(draws(null.n, null.combined))
    if not drawn:
        return []
    kinds = [f"{kind} ({_range(counts)} draws)" for kind, counts in drawn.items()]
    sentences = [
        f"Numbers stand beside matched nulls: {enumeration(kinds)}.",
        "p-values are (b + 1)/(n + 1), adjusted within each claim by Benjamini–Hochberg.",
    ]
    if any(null.combined for null in _all_nulls(rows)):
        sentences.append(
            "Over seeds, values are means with 95 % intervals and p-values are combined by Fisher’s method."
        )
    return sentences


def _all_nulls(rows: Sequence[ClaimRow]) -> Iterator[NullSummary]:
    for row in rows:
        yield from (null for null in (row.null, row.permutation_null, *row.further_nulls) if null is not None)


def _range(counts: set[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def outcomes(verdicts: Sequence[Verdict]) -> list[Outcome]:
    """Return the four ways in which claims can come out, each with the claims it applies to by name."""
    if not verdicts:
        return []
    sorted_in: dict[str, list[Verdict]] = {heading: [] for heading in _WORDS}
    for verdict in verdicts:
        sorted_in[_heading(verdict)].append(verdict)
    return [Outcome(f"{heading}.", _sentence(found, *_WORDS[heading])) for heading, found in sorted_in.items()]


_HOLDS = "What holds"
_NOT_SPECIAL = "What comes back but does not survive its null"
_GONE = "What does not come back"
_OPEN = "What is undecided"
# For each outcome: one claim, several claims, none.
_WORDS = {
    _HOLDS: (
        "claim reproduces and survives its matched null",
        "claims reproduce and survive their matched nulls",
        "No claim both reproduces and survives its matched null.",
    ),
    _NOT_SPECIAL: (
        "claim reproduces, yet the comparison with its null does not support it",
        "claims reproduce, yet the comparison with their nulls does not support them",
        "No claim reproduces without surviving its matched null.",
    ),
    _GONE: ("claim does not reproduce", "claims do not reproduce", "No claim fails to reproduce."),
    _OPEN: ("claim is left open", "claims are left open", "No claim is left open."),
}
# What the heading does not say about the two answers of a claim.
_REMARKS = {
    (False, True): ", but it survives its null",
    (False, False): ", nor does it survive its null",
    (None, True): ", no published number to compare; it survives its null",
    (None, False): ", no published number to compare; it does not survive its null",
    (True, None): ", it reproduces; its null decides nothing",
}


def _heading(verdict: Verdict) -> str:
    if verdict.reproduces is False:
        return _GONE
    if verdict.reproduces is None or verdict.survives_null is None:
        return _OPEN
    return _HOLDS if verdict.survives_null else _NOT_SPECIAL


def _sentence(verdicts: list[Verdict], one: str, several: str, none: str) -> str:
    if not verdicts:
        return none
    names = "; ".join(_name(verdict) for verdict in verdicts)
    return f"{len(verdicts)} {one if len(verdicts) == 1 else several}: {names}."


def _name(verdict: Verdict) -> str:
    remark = _REMARKS.get((verdict.reproduces, verdict.survives_null), "")
    return f"{verdict.statement.rstrip('. ')} ({verdict.claim}{remark})"
