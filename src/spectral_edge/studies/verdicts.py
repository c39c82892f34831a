"""Apply the rules: adjust p-values within each claim, then answer both questions with a sentence of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_edge.statistics import adjust
from spectral_edge.store import ClaimRow, NullSummary, Verdict
from spectral_edge.studies.aggregation import headline_rows
from spectral_edge.studies.claim_rules import TOLERANCES, ClaimRule, Rows, is_close

__all__ = ["adjust_table", "judge"]

_LEVEL = 0.05


def adjust_table(rows: Rows) -> list[ClaimRow]:
    """Add Benjamini-Hochberg p-values, one table a claim and kind of null.

    The table of a claim is its headline rows: where a number is known over seeds, the single seeds are its parts, not
    further tests. The settings of a sensitivity analysis are a table of their own.
    """
    adjusted = list(rows)
    judged = {id(row) for row in headline_rows(rows)}
    for table in sorted({_table(row) for row in rows}):
        for kind in ("null", "permutation_null", "peak_null", "permutation_peak_null"):
            index = [
                i
                for i, row in enumerate(rows)
                if _table(row) == table and id(row) in judged and getattr(row, kind) is not None
            ]
            if not index:
                continue
            values = adjust([getattr(adjusted[i], kind).pvalue for i in index])
            for i, value in zip(index, values, strict=True):
                null = getattr(adjusted[i], kind).model_copy(update={"pvalue_adjusted": float(value)})
                adjusted[i] = adjusted[i].model_copy(update={kind: null})
    return adjusted


def _table(row: ClaimRow) -> tuple[str, bool]:
    return row.claim, row.statistic.startswith("sensitivity:")


def judge(rows: Rows, rules: Sequence[ClaimRule]) -> list[Verdict]:
    """Apply every rule to adjusted rows; a claim whose deciding rows are missing gets two ``None`` and says so."""
    return [_judge(rule, [row for row in rows if row.claim == rule.claim]) for rule in rules]


def _judge(rule: ClaimRule, rows: Rows) -> Verdict:
    table = headline_rows(rows)
    deciding = [row for row in table if rule.decides(row)]
    if not deciding:
        because = "Not measured: no run here has this claim's operation and checkpoint."
        return _verdict(rule, None, None, because)
    reproduces, numbers = _reproduces(rule, rows, [row for row in table if rule.looks_at(row)])
    survives, nulls = _survives(rule, deciding, sum(row.null is not None and not _table(row)[1] for row in table))
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
    answers = [answer for answer, _ in parts if answer is not None]
    return (all(answers) if answers else None), "; ".join(text for _, text in parts)


def _survives(rule: ClaimRule, deciding: Rows, table_size: int) -> tuple[bool | None, str]:
    nulls = [row.null for row in deciding if row.null is not None]
    above = sum(null.pvalue_adjusted is not None and null.pvalue_adjusted < _LEVEL for null in nulls)
    below = sum(null.pvalue > 1 - _LEVEL for null in nulls)
    row, null = min(
        ((row, row.null) for row in deciding if row.null is not None), key=lambda pair: (pair[1].pvalue, pair[0].task)
    )
    text = (
        f"of {len(nulls)} deciding rows {above} {_beyond(null)} (adjusted p < {_LEVEL}, {table_size} rows in the "
        f"table) and {below} lie on the far side of 95 % of it; most extreme: {_name(row)} {row.measured:.3g}"
        f"{_interval(row)} against {null.mean:.3g} ± {null.std:.2g} (95 % {null.quantile95:.3g}), p = {null.pvalue:.2g}"
    )
    return (above == 0 if rule.absence else 2 * above > len(nulls)), text


def _beyond(null: NullSummary) -> str:
    kind = null.kind.replace("_", " ")
    return f"{'exceed' if null.alternative == 'greater' else 'lie below'} their null of {kind}"


def _name(row: ClaimRow) -> str:
    return " ".join(text for text in (row.model or row.task, row.direction, row.statistic, row.grouping) if text)


def _interval(row: ClaimRow) -> str:
    if row.interval is None:
        return ""
    return f" (95 % interval {row.interval.low:.3g} to {row.interval.high:.3g}, n = {row.interval.n})"
