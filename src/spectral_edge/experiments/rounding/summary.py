"""What copies of one seed share beyond what copies of different seeds do, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_edge.bases import grouping
from spectral_edge.experiments.point import Point
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.claims import LINES
from spectral_edge.statistics import (
    adjust,
    combine_pvalues,
    expected_concentration,
    intraclass_correlation,
    intraclass_interval,
    regrouped,
    within_and_between,
)
from spectral_edge.store import CopyRow, PartingRow, Rounding
from spectral_edge.subjects import BASIS

__all__ = ["published_peaks", "relabelled_pvalue", "rounding_points"]

_DRAWS = 9999
_PUBLISHED = TrainingConfig()
# Distances whose crossing is reported.
_APART = (0.001, 0.01, 0.1)

Peaks = dict[int, int]
"""The paper's frequency of each direction, 1 for v1."""


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


def _equal(left: Sequence[int], right: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(left, right, strict=True)) / len(left)


def _overlap(left: Sequence[int], right: Sequence[int]) -> float:
    return len(set(left) & set(right)) / len(set(left) | set(right))


_SIMILARITIES: tuple[tuple[str, Callable[[CopyRow, CopyRow], float]], ...] = (
    ("v1", lambda a, b: _equal(a.peak[:1], b.peak[:1])),
    ("v1 … v5, each with the same number", lambda a, b: _equal(a.peak, b.peak)),
    ("v1 … v5, the set of peaks", lambda a, b: _overlap(a.peak, b.peak)),
    ("random directions, each with the same draw", lambda a, b: _equal(a.random_peak, b.random_peak)),
)


def rounding_points(rounding: Rounding) -> list[Point]:
    """Answer four questions.

    When copies part, whether frequencies and sizes are the seed's, and whether the paper's seed repeats its own.

    Raises:
        ValueError: an operation has fewer than two seeds, or a seed of it fewer than two copies.
    """
    rows = rounding.copies
    _check_design(rows)
    return [_partings(rounding.partings), _frequencies(rows), _sizes(rows), _published(rows)]


def published_peaks() -> dict[str, Peaks]:
    """The paper's frequencies by operation and direction: those of single directions in the operation's own basis.

    >>> published_peaks()["sub"]
    {1: 16, 2: 6, 3: 32}
    """
    found: dict[str, Peaks] = {}
    for line in LINES:
        single = line.direction.combined == "alone" and line.direction.component is None
        at_stop = (line.statistic, line.checkpoint, line.inputs) == ("concentration", "stop", "test")
        if single and at_stop and line.peak is not None and line.grouping == BASIS.get(line.task):
            found.setdefault(line.task, {})[line.direction.members[0]] = line.peak
    return found


def relabelled_pvalue(rows: Sequence[CopyRow], published: Peaks, order: int) -> float:
    """Return the share of relabellings ω → kω of the published peaks that copies match at least as often.

    k runs over the units mod M up to sign, k = 1 among them. Multiplying all labels by k leaves the law of a training
    run as it is: tokens are drawn alike, and the split does not know their names. So k = 1 is as likely as any other to
    match most where the paper's model and these have nothing in common, and p is exact, in multiples of one over the
    number of units: 48 for M = 97, 16 for M = 96. Copies are one draw, however many they are.

    Args:
        rows: copies of one seed of one operation.
        published: frequency of each direction.
        order: M, of the grouping.

    >>> row = CopyRow.model_construct(peak=[16, 6, 32])
    >>> relabelled_pvalue([row], {1: 16, 2: 6, 3: 32}, 97) == 1 / 48
    True
    """
    units = [k for k in range(1, order // 2 + 1) if math.gcd(k, order) == 1]
    matches = [
        sum(_repeated(row, {d: _folded(k * peak, order) for d, peak in published.items()}) for row in rows)
        for k in units
    ]
    return sum(count >= matches[0] for count in matches) / len(units)


def _folded(frequency: int, order: int) -> int:
    """A frequency as one of 0 … M//2: a real function has ω and -ω alike."""
    return min(frequency % order, -frequency % order)


def _check_design(rows: Sequence[CopyRow]) -> None:
    for operation, members in _by_operation(rows).items():
        copies = {seed: sum(row.seed == seed for row in members) for seed in {row.seed for row in members}}
        if len(copies) < 2 or min(copies.values()) < 2:
            raise ValueError(
                f"copies of {operation} by seed: {copies}; need two seeds and two copies of each to tell seeds from "
                "rounding"
            )
    if not rows:
        raise ValueError("there are no copies to compare; run `spectral-edge experiment rounding`")


def _by_operation(rows: Sequence[CopyRow]) -> dict[str, list[CopyRow]]:
    return {name: [row for row in rows if row.operation == name] for name in dict.fromkeys(r.operation for r in rows)}


def _by_seed(rows: Sequence[CopyRow]) -> dict[int, list[CopyRow]]:
    return {seed: [row for row in rows if row.seed == seed] for seed in dict.fromkeys(row.seed for row in rows)}


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
    steps = " or ".join(map(str, sorted({p.steps[1] for p in partings})))
    return Point(
        "When do copies part?",
        "Distance |θ − θ'|/|θ'| of the attention weights at equal steps; θ' is the run as published, or another seed. "
        "Copies start equal. Steps: median (range) over the pairs that reach the distance. Last: at the last snapshot "
        "that both runs have.",
        ("operation", "pairs of", "pairs", f"at step {steps}", *bounds, "last"),
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
    found = []
    for name, similarity in _SIMILARITIES:
        for number, (operation, members) in enumerate(_by_operation(rows).items()):
            seeds = [row.seed for row in members]
            table = np.array([[similarity(a, b) for b in members] for a in members])
            within, between = within_and_between(table, seeds)
            pvalue = _pvalue(lambda g, s=table: within_and_between(s, g)[0], seeds, number)
            found.append((name, operation, (f"{within:.2f}", f"{between:.2f}"), pvalue))
    return Point(
        "Do copies of one seed peak at the same frequencies?",
        "Share of pairs of runs with the same peak, among copies of one seed and among runs of two seeds; of sets, the "
        f"mean of |A ∩ B|/|A ∪ B| (added after numbers were seen). p: one-sided, of {_DRAWS} random groupings of the "
        "same runs; adjusted over the table; operations combined by Fisher's method. Random directions are the same in "
        "all runs: they show the frequencies of the model.",
        ("directions", "operation", "one seed", "two seeds", "p", "p, adjusted"),
        _with_pvalues(found, blank=2),
    )


def _sizes(rows: Sequence[CopyRow]) -> Point:
    found = []
    for quantity in _QUANTITIES:
        for number, (operation, members) in enumerate(_by_operation(rows).items()):
            values, seeds = np.array([quantity.of(row) for row in members]), [row.seed for row in members]
            of_seeds = [np.array([quantity.of(row) for row in same]) for same in _by_seed(members).values()]
            icc, (low, high) = intraclass_correlation(values, seeds), intraclass_interval(values, seeds)
            varies = not np.isnan(icc)
            cells = (
                ", ".join(f"{of_seed.mean():.{quantity.digits}f}" for of_seed in of_seeds),
                ", ".join(f"{v.min():.{quantity.digits}f} to {v.max():.{quantity.digits}f}" for v in of_seeds),
                f"{_spread_of_copies(of_seeds):.2g}",
                f"{icc:.2f} [{low:.2f}, {high:.2f}]" if varies else "all are equal",
            )
            pvalue = _pvalue(lambda g, v=values: intraclass_correlation(v, g), seeds, number) if varies else None
            found.append((quantity.name, operation, cells, pvalue))
    return Point(
        "Do stop step and F differ more between seeds than between copies?",
        "Mean and range over the copies of each seed; the standard deviation of copies; the intraclass correlation, "
        "which estimates the share of the variance that lies between seeds (by chance below 0; three seeds hardly "
        "bound it from above), with its 95 % interval; p and adjustment as above: whether seeds differ at all. Of "
        f"white noise F would be {expected_concentration(_PUBLISHED.p):.3f}.",
        ("quantity", "operation", "mean of each seed", "range of each seed", "s of copies", "ICC", "p", "p, adjusted"),
        _with_pvalues(found, blank=4),
    )


def _spread_of_copies(of_seeds: Sequence[NDArray[np.float64]]) -> float:
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in of_seeds)
    return math.sqrt(squares / sum(len(v) - 1 for v in of_seeds))


def _with_pvalues(
    found: Sequence[tuple[str, str, tuple[str, ...], float | None]], blank: int
) -> tuple[tuple[str, ...], ...]:
    """Lines (name, operation, …, p, adjusted p), and after those of a name one with their combined p."""
    tested = [pvalue for *_, pvalue in found if pvalue is not None]
    adjusted = iter(adjust(tested))
    lines = []
    for name in dict.fromkeys(name for name, *_ in found):
        members = [(operation, cells, pvalue) for of, operation, cells, pvalue in found if of == name]
        for operation, cells, pvalue in members:
            verdict = ("—", "—") if pvalue is None else (f"{pvalue:.4f}", f"{next(adjusted):.4f}")
            lines.append((name, operation, *cells, *verdict))
        pvalues = [pvalue for *_, pvalue in members if pvalue is not None]
        if len(pvalues) > 1:
            lines.append((name, f"{len(pvalues)} combined", *[""] * blank, f"{combine_pvalues(pvalues):.2g}", ""))
    return tuple(lines)


def _published(rows: Sequence[CopyRow]) -> Point:
    table = []
    for operation, peaks in published_peaks().items():
        members = [row for row in rows if row.operation == operation]
        for seed, copies in _by_seed(members).items():
            counts = [_repeated(row, peaks) for row in copies]
            order = grouping(BASIS[operation], _PUBLISHED.p).order
            name = f"{seed}, the paper's" if seed == _PUBLISHED.seed else str(seed)
            paper = ", ".join(map(str, peaks.values()))
            pvalue = f"{relabelled_pvalue(copies, peaks, order):.3f}"
            table.append((operation, paper, name, ", ".join(map(str, counts)), f"{np.mean(counts):.1f}", pvalue))
    return Point(
        "Does the paper's seed repeat its frequencies?",
        "How many of the paper's frequencies each copy repeats, direction by direction: a frequency that another "
        "direction has does not count. p: the share of relabellings ω → kω of the paper's frequencies that the copies "
        "match at least as often, k = 1 included. The p was chosen after numbers were seen, in place of one that took "
        "copies for independent.",
        ("operation", "the paper's", "seed", "copies", "mean", "p"),
        tuple(table),
    )


def _repeated(row: CopyRow, published: Peaks) -> int:
    return sum(row.peak[number - 1] == peak for number, peak in published.items())


def _pvalue(statistic: Callable[..., float], seeds: Sequence[int], number: int) -> float:
    """The p-value of a statistic of the grouping; rounded, so that equal groupings are ties."""
    null = regrouped(lambda groups: round(statistic(groups), 12), seeds, _DRAWS, seed=number)
    return null.pvalue(round(statistic(seeds), 12))


def _range(values: Sequence[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
