"""What copies of one seed share beyond what copies of different seeds do, as tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_edge.statistics import (
    auc_pvalue,
    combine_pvalues,
    expected_concentration,
    intraclass_correlation,
    matching_pairs,
    regrouped,
)
from spectral_edge.store import CopyRow, PartingRow, Rounding
from spectral_edge.studies.modes import BASIS, MEASUREMENTS
from spectral_edge.studies.point import Point

__all__ = ["published_peaks", "rounding_points"]

_DRAWS = 9999
_SEED = 0
_PUBLISHED_SEED = 42
_APART = (0.001, 0.01, 0.1)
"""Distances whose crossing is reported."""


@dataclass(frozen=True)
class _Quantity:
    """One number a run, and what to call it."""

    name: str
    of: Callable[[CopyRow], float]
    digits: int = 3


_QUANTITIES = (
    _Quantity("stop step", lambda row: row.step, 0),
    _Quantity("F of v1", lambda row: row.concentration[0]),
    _Quantity("mean F of v1 … v3", lambda row: float(np.mean(row.concentration[:3]))),
    _Quantity("mean F of random directions", lambda row: float(np.mean(row.random_concentration))),
)
_LABELS: tuple[tuple[str, Callable[[CopyRow], list[int]]], ...] = (
    ("v1", lambda row: row.peak[:1]),
    ("v1 … v5, each with its like", lambda row: row.peak),
    ("random directions, each with itself", lambda row: row.random_peak),
)


def rounding_points(rounding: Rounding) -> list[Point]:
    """Answer four questions.

    When copies part, whether frequencies and sizes are the seed's, and whether the paper's seed repeats its own.
    """
    rows = rounding.copies
    return [_partings(rounding.partings), _frequencies(rows), _sizes(rows), _published(rows)]


def published_peaks() -> dict[str, dict[int, int]]:
    """The paper's frequencies by operation and direction: those of single directions in the operation's own basis.

    >>> published_peaks()["sub"]
    {1: 16, 2: 6, 3: 32}
    """
    found: dict[str, dict[int, int]] = {}
    for m in MEASUREMENTS:
        single = re.fullmatch(r"v(\d+)", m.direction)
        at_stop = (m.statistic, m.checkpoint, m.inputs) == ("concentration", "stop", "test")
        if single and at_stop and m.peak is not None and m.grouping == BASIS.get(m.task):
            found.setdefault(m.task, {})[int(single[1])] = m.peak
    return found


def _by_operation(rows: Sequence[CopyRow]) -> dict[str, list[CopyRow]]:
    return {name: [row for row in rows if row.operation == name] for name in dict.fromkeys(r.operation for r in rows)}


def _partings(partings: Sequence[PartingRow]) -> Point:
    table = []
    for operation in dict.fromkeys(p.operation for p in partings):
        for same_seed, name in ((True, "one seed, two copies"), (False, "two seeds")):
            pairs = [p for p in partings if (p.operation, p.same_seed) == (operation, same_seed)]
            if pairs:
                first = [p.distance[1] for p in pairs]
                last = [p.distance[-1] for p in pairs]
                crossed = [_crossing(pairs, bound) for bound in _APART]
                table.append((operation, name, str(len(pairs)), f"{np.median(first):.1e}", *crossed, _range(last)))
    bounds = (f"above {bound:g} from step" for bound in _APART)
    return Point(
        "When do copies part?",
        "Distance |θ − θ'|/|θ| of the attention weights at equal steps. Copies start equal; the first snapshot is at "
        "step 100. Steps: median over pairs (range), of those that get so far. Last: at the last snapshot both have.",
        ("operation", "pairs of", "pairs", "at step 100", *bounds, "last"),
        tuple(table),
    )


def _crossing(pairs: Sequence[PartingRow], bound: float) -> str:
    steps = [next((s for s, d in zip(p.steps, p.distance, strict=True) if d > bound), None) for p in pairs]
    reached = [s for s in steps if s is not None]
    if not reached:
        return "never"
    text = f"{np.median(reached):g} ({min(reached)} to {max(reached)})"
    return text if len(reached) == len(pairs) else f"{text}, {len(reached)} of {len(pairs)}"


def _frequencies(rows: Sequence[CopyRow]) -> Point:
    table = []
    for name, labels in _LABELS:
        pvalues = []
        for operation, members in _by_operation(rows).items():
            values, seeds = [labels(row) for row in members], [row.seed for row in members]
            within, between = matching_pairs(values, seeds)
            pvalue = _pvalue(lambda g, v=values: matching_pairs(v, g)[0], seeds)
            pvalues.append(pvalue)
            table.append((operation, name, _share(within), _share(between), f"{pvalue:.4f}"))
        table.append(("all", name, "", "", f"{combine_pvalues(pvalues):.2g}"))
    return Point(
        "Is the frequency the seed's?",
        "Share of pairs of runs with the same peak, among copies of one seed and among runs of two seeds. p: "
        f"one-sided, of {_DRAWS} random groupings of the same runs; operations combined by Fisher's method. Random "
        "directions are the same in all runs: they show the frequencies of the model.",
        ("operation", "directions", "one seed", "two seeds", "p"),
        tuple(table),
    )


def _sizes(rows: Sequence[CopyRow]) -> Point:
    table = []
    for quantity in _QUANTITIES:
        pvalues = []
        for operation, members in _by_operation(rows).items():
            values, seeds = [quantity.of(row) for row in members], [row.seed for row in members]
            icc = intraclass_correlation(values, seeds)
            verdict = ("—", "—")
            if not np.isnan(icc):  # else all values are equal
                pvalue = _pvalue(lambda g, v=values: intraclass_correlation(v, g), seeds)
                pvalues.append(pvalue)
                verdict = (f"{icc:.2f}", f"{pvalue:.4f}")
            by_seed = [[v for v, s in zip(values, seeds, strict=True) if s == seed] for seed in dict.fromkeys(seeds)]
            digits = quantity.digits
            within = np.sqrt(np.mean([np.var(group, ddof=1) for group in by_seed]))
            means = ", ".join(f"{np.mean(group):.{digits}f}" for group in by_seed)
            extremes = ", ".join(f"{min(group):.{digits}f} to {max(group):.{digits}f}" for group in by_seed)
            table.append((operation, quantity.name, means, extremes, f"{within:.2g}", *verdict))
        if pvalues:
            table.append(("all", quantity.name, "", "", "", "", f"{combine_pvalues(pvalues):.2g}"))
    return Point(
        "Is the size the seed's?",
        "Mean and range over the copies of each seed; the standard deviation of copies; the intraclass correlation, "
        "the share of the variance that lies between seeds; p as above. Of white noise F would be "
        f"{expected_concentration(97):.3f}.",
        ("operation", "quantity", "mean of each seed", "range of each seed", "s of copies", "ICC", "p"),
        tuple(table),
    )


def _published(rows: Sequence[CopyRow]) -> Point:
    peaks = published_peaks()
    asked = sum(len(of_task) for of_task in peaks.values())
    totals: dict[int, list[int]] = {}
    for seed in dict.fromkeys(row.seed for row in rows):
        copies = sorted({row.copy_number for row in rows if row.seed == seed})
        totals[seed] = [
            sum(_repeated(row, peaks) for row in rows if (row.seed, row.copy_number) == (seed, c)) for c in copies
        ]
    table = []
    for seed, counts in totals.items():
        name = f"{seed}, the paper's" if seed == _PUBLISHED_SEED else str(seed)
        table.append((name, ", ".join(map(str, counts)), f"{np.mean(counts):.1f}", str(asked)))
    note = (
        "How many of the paper's frequencies each copy repeats: direction by direction, addition (v1 … v5), "
        "multiplication and subtraction (v1 … v3), copy by copy. Other seeds show what chance repeats."
    )
    others = [count for seed, counts in totals.items() if seed != _PUBLISHED_SEED for count in counts]
    if others and _PUBLISHED_SEED in totals:
        pvalue = auc_pvalue(totals[_PUBLISHED_SEED], others)
        note += f" Copies of seed {_PUBLISHED_SEED} above those of others: p {pvalue:.4f}."
    return Point("Does the paper's seed repeat its frequencies?", note, ("seed", "copies", "mean", "of"), tuple(table))


def _repeated(row: CopyRow, peaks: dict[str, dict[int, int]]) -> int:
    return sum(row.peak[number - 1] == peak for number, peak in peaks.get(row.operation, {}).items())


def _pvalue(statistic: Callable[..., float], seeds: Sequence[int]) -> float:
    return regrouped(statistic, seeds, _DRAWS, _SEED).pvalue(statistic(seeds))


def _share(value: float) -> str:
    return f"{value:.2f}"


def _range(values: Sequence[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
