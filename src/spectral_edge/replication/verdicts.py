"""Apply the rules: adjust p-values within each claim, then answer both questions with a sentence of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spectral_edge.replication.aggregation import headline_rows, seeds_of
from spectral_edge.replication.claims.rule import TOLERANCES, ClaimRule, Rows, is_close
from spectral_edge.statistics import adjust
from spectral_edge.store import ClaimRow, NullSummary, Verdict

__all__ = ["adjust_table", "judge"]

_LEVEL = 0.05
_REPLICATES = 2  # seeds that must show an effect by themselves


def adjust_table(rows: Rows, rules: Sequence[ClaimRule]) -> list[ClaimRow]:
    """Put the deciding null of every row first and add Benjamini-Hochberg p-values, a table each kind of null.

    A claim has three tables: the rows that decide it, the other headline rows, and the settings of a sensitivity
    analysis. A verdict so never hangs on how much else was measured. Headline rows are those over seeds, where there
    are several: single seeds are their parts, not further tests. If nothing at all is there, the procedure finds
    something in a table with probability 0.05 at most, which is what the claim of an absence needs.
    """
    by_claim = {rule.claim: rule for rule in rules}
    adjusted = [by_claim[row.claim].with_deciding_null(row) if row.claim in by_claim else row for row in rows]
    tables: dict[tuple[str, str], list[int]] = {}
    judged = {id(row) for row in headline_rows(adjusted)}
    for i, row in enumerate(adjusted):
        if id(row) in judged:
            tables.setdefault((row.claim, _part(row, by_claim.get(row.claim))), []).append(i)
    for table in tables.values():
        for kind in ("null", "permutation_null", "peak_null", "permutation_peak_null"):
            index = [i for i in table if getattr(adjusted[i], kind) is not None]
            if not index:
                continue
            values = adjust([getattr(adjusted[i], kind).pvalue for i in index])
            for i, value in zip(index, values, strict=True):
                null = getattr(adjusted[i], kind).model_copy(update={"pvalue_adjusted": float(value)})
                adjusted[i] = adjusted[i].model_copy(update={kind: null})
    return adjusted


def _part(row: ClaimRow, rule: ClaimRule | None) -> str:
    if row.statistic.startswith("sensitivity:"):
        return "sensitivity"
    return "deciding" if rule is not None and rule.decides(row) else "further"


def judge(rows: Rows, rules: Sequence[ClaimRule]) -> list[Verdict]:
    """Apply every rule to adjusted rows; a claim whose deciding rows are missing gets two ``None`` and says so."""
    return [_judge(rule, [row for row in rows if row.claim == rule.claim]) for rule in rules]


def _judge(rule: ClaimRule, rows: Rows) -> Verdict:
    table = headline_rows(rows)
    deciding = [row for row in table if rule.decides(row)]
    if not deciding:
        because = "Not measured: no run here has this claim's operation and checkpoint."
        return _verdict(rule, None, None, because)
    looked_at = [row for row in table if rule.looks_at(row)]
    reproduces, numbers = _reproduces(rule, rows, looked_at)
    survives, nulls = _survives(rule, rows, deciding, looked_at)
    return _verdict(rule, reproduces, survives, f"{numbers}; {nulls}.")


def _verdict(rule: ClaimRule, reproduces: bool | None, survives: bool | None, because: str) -> Verdict:
    return Verdict(
        claim=rule.claim,
        statement=rule.statement,
        reproduces=reproduces,
        survives_null=survives,
        because=because,
    )


def _reproduces(rule: ClaimRule, rows: Rows, looked_at: Rows) -> tuple[bool | None, str]:
    parts: list[tuple[bool | None, str]] = []
    numbers = [row for row in rows if row.published is not None]
    if numbers:
        close = sum(is_close(row) for row in numbers)
        allowed = {
            "at or below the bound" if row.published_is_upper_bound else TOLERANCES[row.statistic][0] for row in numbers
        }
        text = f"{close} of {len(numbers)} published numbers come back ({', '.join(sorted(allowed))})"
        parts.append((2 * close > len(numbers), text))
    peaks = [row for row in rows if row.published_peak is not None]
    if peaks:
        same = sum(row.peak == row.published_peak for row in peaks)
        parts.append((2 * same > len(peaks), f"{same} of {len(peaks)} published frequencies come back"))
    if not parts:
        parts.append((None, "no published number applies to these runs"))
    parts += [check(looked_at) for check in rule.checks]
    return _all(answer for answer, _ in parts), "; ".join(text for _, text in parts)


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


def _survives(rule: ClaimRule, rows: Rows, deciding: Rows, looked_at: Rows) -> tuple[bool | None, str]:
    pairs = [(row, row.null) for row in deciding if row.null is not None]
    beyond = sum(_is_beyond(null) and (rule.absence or _replicates(row, rows)) for row, null in pairs)
    below = sum(null.pvalue > 1 - _LEVEL for _, null in pairs)
    row, null = min(pairs, key=lambda pair: (pair[1].pvalue, pair[0].task))
    text = (
        f"of {len(pairs)} deciding rows {beyond} {_verb(null)} (adjusted p < {_LEVEL}{_replication(rule, deciding)}) "
        f"and {below} lie on the far side of 95 % of it; most extreme: {_name(row)} {row.measured:.3g}{_interval(row)} "
        f"against {null.mean:.3g} ± {null.std:.2g} (95 % {null.quantile95:.3g}), p = {null.pvalue:.2g}"
    )
    conditions = [condition(looked_at) for condition in rule.conditions]
    answer = beyond == 0 if rule.absence else 2 * beyond > len(pairs)
    return _all([answer, *(met for met, _ in conditions)]), "; ".join([text, *(said for _, said in conditions)])


def _is_beyond(null: NullSummary) -> bool:
    return null.pvalue_adjusted is not None and null.pvalue_adjusted < _LEVEL


def _replicates(row: ClaimRow, rows: Rows) -> bool:
    """Whether two of the row's seeds show the effect; a row of one run, or one that has no parts, is taken as it is."""
    parts = [part.null for part in seeds_of(row, rows)]
    return not parts or sum(null is not None and null.pvalue < _LEVEL for null in parts) >= _REPLICATES


def _replication(rule: ClaimRule, deciding: Rows) -> str:
    several = any(row.null is not None and row.null.combined for row in deciding)
    return f", and p < {_LEVEL} in {_REPLICATES} seeds" if several and not rule.absence else ""


def _verb(null: NullSummary) -> str:
    kind = null.kind.replace("_", " ")
    return f"{'exceed' if null.alternative == 'greater' else 'lie below'} their null of {kind}"


def _name(row: ClaimRow) -> str:
    return " ".join(text for text in (row.model or row.task, row.direction, row.statistic, row.grouping) if text)


def _interval(row: ClaimRow) -> str:
    if row.interval is None:
        return ""
    return f" (95 % interval {row.interval.low:.3g} to {row.interval.high:.3g}, n = {row.interval.n})"
