"""Effect sizes over independent runs: a mean, an interval, and one of three answers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spectral_edge.comparison.documents import plain_names
from spectral_edge.comparison.result import Comparison
from spectral_edge.statistics import mean_interval
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["Answer", "OverRuns", "over_runs"]

Answer = Literal["special", "not special", "undecided"]

_LEVEL = 0.9
_FEWEST = 5

Key = tuple[int | None, str, str]


@dataclass(frozen=True, eq=False)
class OverRuns(Tabular):
    """Effects of each (direction, statistic, null) over runs; made by :func:`over_runs`.

    Attributes:
        table: columns direction, statistic, null, n, effect, low, high, answer.
        margin: effects below it do not count as special, in null SDs.
    """

    table: polars.DataFrame
    margin: float
    effects: dict[Key, list[float]] = field(repr=False)

    def __repr__(self) -> str:
        counts = {
            answer: int((self.table["answer"] == answer).sum()) for answer in ("special", "not special", "undecided")
        }
        return f"OverRuns({', '.join(f'{n} {answer}' for answer, n in counts.items())}; margin {self.margin})"

    def to_polars(self) -> polars.DataFrame:
        """:attr:`table`."""
        return self.table


def over_runs(
    results: Sequence[Comparison], margin: float = 0.75, groups: Sequence[Hashable] | None = None
) -> OverRuns:
    """Combine comparisons of independent runs into one answer for each direction, statistic and null.

    The effect is the mean over runs of (measured - null mean)/null SD, with Student's 90 % interval [low, high]:
    "special" if low > 0 and effect >= margin; "not special" if high < margin; otherwise, and below 5 runs,
    "undecided". Where the comparisons ask for small values, the same holds of -effect.

    Args:
        results: one comparison a run, all of one protocol; seeds, steps and numbers of draws and inputs may differ
            (under the null ``inputs`` an effect grows with the inputs; under the others hardly).
        margin: smallest effect worth the name, in null SDs; to be fixed before the runs are seen.
        groups: a name for each result; results of one name (copies of a seed) are averaged first and count as one run.

    Returns:
        The table; n counts the runs (groups) that have an effect in that row. low and high are missing for n = 1.

    Raises:
        ValueError: there are no results, their protocols differ (the first difference is named), ``groups`` has another
            length, or ``margin`` is not positive.

    Source: ours; margins and intervals as in equivalence testing (two one-sided tests at 5 %).
    """
    import polars

    if isinstance(results, Comparison) or not all(isinstance(result, Comparison) for result in results):
        raise ValueError("over_runs: results must be a list of comparisons, one a run")
    if not results:
        raise ValueError("over_runs: there are no comparisons")
    if not margin > 0:
        raise ValueError(f"over_runs: margin = {margin}; it must be a positive number of null SDs")
    if groups is not None and len(groups) != len(results):
        raise ValueError(f"over_runs: {len(groups)} groups for {len(results)} comparisons; give one name each")
    for number, result in enumerate(results[1:], start=2):
        _check_same_protocol(results[0], result, number)
    names: Sequence[Hashable] = range(len(results)) if groups is None else plain_names(groups)
    effects = {key: list(by_group.values()) for key, by_group in _effects(results, names).items()}
    sign = 1 if results[0].alternative == "greater" else -1
    lines = [_line(key, values, margin, sign) for key, values in effects.items()]
    schema: dict[str, Any] = {
        "direction": polars.Int64,
        "statistic": polars.String,
        "null": polars.String,
        "n": polars.Int64,
        "effect": polars.Float64,
        "low": polars.Float64,
        "high": polars.Float64,
        "answer": polars.String,
    }
    return OverRuns(polars.DataFrame(lines, schema=schema, orient="row"), margin, effects)


def answer_of(effect: float, low: float, high: float, n: int, margin: float) -> Answer:
    """Give one of three answers; effect, low and high point in the direction that the comparison asked for.

    >>> answer_of(1.2, 0.4, 2.0, n=10, margin=0.75), answer_of(0.1, -0.3, 0.5, n=10, margin=0.75)
    ('special', 'not special')
    """
    if n < _FEWEST:
        return "undecided"
    if low > 0 and effect >= margin:
        return "special"
    return "not special" if high < margin else "undecided"


def _effects(results: Sequence[Comparison], names: Sequence[Hashable]) -> dict[Key, dict[Hashable, float]]:
    found: dict[Key, dict[Hashable, list[float]]] = {}
    for result, name in zip(results, names, strict=True):
        for row in result.rows:
            of_row = found.setdefault((row.direction, row.statistic, row.null), {})
            if row.effect is not None:
                of_row.setdefault(name, []).append(row.effect)
    return {key: {name: float(np.mean(v)) for name, v in of_row.items()} for key, of_row in found.items()}


def _line(key: Key, effects: Sequence[float], margin: float, sign: int) -> tuple[Any, ...]:
    n = len(effects)
    if n < 2:
        return (*key, n, float(np.mean(effects)) if n else None, None, None, "undecided")
    effect, (low, high) = float(np.mean(effects)), mean_interval(effects, _LEVEL)
    bounds = (low, high) if sign > 0 else (-high, -low)
    return (*key, n, effect, low, high, answer_of(sign * effect, *bounds, n, margin))


def _check_same_protocol(first: Comparison, other: Comparison, number: int) -> None:
    ours, theirs = _comparable(first), _comparable(other)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise ValueError(
                f"over_runs: comparisons 1 and {number} differ in {name}: {ours.get(name)!r} and {theirs.get(name)!r}; "
                "their effects do not mean the same. Compare again under one protocol, or combine them apart"
            )


def _comparable(result: Comparison) -> dict[str, Any]:
    of_sets = any(row.direction is None for row in result.rows)  # what a set is depends on how many directions it has
    may_differ = _PER_RUN if of_sets else (*_PER_RUN, "directions")
    return {"alternative": result.alternative} | {k: v for k, v in result.protocol.items() if k not in may_differ}


# What may differ between runs of one protocol: the precision of an effect, or which run it is, not its meaning.
_PER_RUN = ("draws", "seed", "run", "step", "position", "inputs")
