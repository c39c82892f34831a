"""From excesses over seeds to one of three answers, and how still that answer holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.statistics import mean_interval, proportion_interval

__all__ = [
    "Decision",
    "ThreeWay",
    "combined",
    "decide",
    "decide_bound",
    "most_have_it",
    "prediction_interval",
    "reproduces",
]

Floats = NDArray[np.float64]
ThreeWay = Literal["yes", "no", "undecided"]

_SEED = 0


@dataclass(frozen=True)
class Decision:
    """An answer with what it rests on.

    Attributes:
        answer: after the check of stability.
        effect: mean excess over seeds, over the strongest null.
        low, high: its interval; ``None`` below two seeds.
        n: seeds.
        repeat: probability that as many other seeds give the same answer, from bootstrap samples.
        contradictions: share of random halves of which one says yes and the other no.
        strongest: position of the null with the smallest mean excess.
        before: the answer before the check of stability.
    """

    answer: ThreeWay
    effect: float
    low: float | None
    high: float | None
    n: int
    repeat: float | None = None
    contradictions: float | None = None
    strongest: int = 0
    before: ThreeWay = "undecided"


def decide(excesses: Floats, margin: float, protocol: Protocol) -> Decision:
    """Decide whether an effect exceeds every null, from its excess over each.

    yes: the interval of the mean excess over the strongest null lies above zero and the mean reaches the margin; no:
    its upper end lies below the margin; undecided otherwise, with too few seeds, or if the answer does not hold still.

    Args:
        excesses: (nulls, seeds) measured - null mean, or the reverse for claims of small numbers.
        margin: in the unit of the excesses.
        protocol: levels and limits.

    Raises:
        ValueError: there are no seeds, or an excess is not finite.
    """

    def rule(values: Floats) -> ThreeWay:
        return _against_strongest(values, margin, protocol)

    return _stable(np.atleast_2d(excesses), rule, protocol)


def decide_bound(values: Floats, bound: float, protocol: Protocol) -> Decision:
    """Decide whether the mean over seeds lies below a bound: yes if the interval does, no if it lies above.

    The effect is bound - mean.

    Raises:
        ValueError: as :func:`decide`.
    """

    def rule(below: Floats) -> ThreeWay:
        if below.shape[1] < protocol.fewest:
            return "undecided"
        low, high = mean_interval(below[0], protocol.interval)
        return "yes" if low > 0 else "no" if high < 0 else "undecided"

    return _stable(bound - np.atleast_2d(values), rule, protocol)


def prediction_interval(values: Floats, level: float) -> tuple[float, float]:
    """Where one more value of the same normal law lies: mean ± t s √(1 + 1/n).

    Raises:
        ValueError: fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"prediction_interval: {n} values; two are needed for a spread")
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(values.mean() - half), float(values.mean() + half)


def reproduces(published: float, members: Floats, null_mean: float, protocol: Protocol) -> ThreeWay:
    """Decide whether a published number lies among reruns; all on one scale, logarithmic or not.

    yes: inside the prediction interval, which leaves the null's mean out; no: outside; undecided: both inside, or too
    few members.
    """
    if len(members) < protocol.fewest:
        return "undecided"
    low, high = prediction_interval(members, protocol.prediction)
    if not low <= published <= high:
        return "no"
    return "undecided" if low <= null_mean <= high else "yes"


def most_have_it(having: int, n: int, protocol: Protocol) -> ThreeWay:
    """Decide whether more than half of the reruns have a property, such as the published frequency.

    >>> from spectral_edge.replication.decision.protocol import PROTOCOL
    >>> most_have_it(9, 10, PROTOCOL), most_have_it(1, 10, PROTOCOL), most_have_it(6, 10, PROTOCOL)
    ('yes', 'no', 'undecided')
    """
    if n < protocol.fewest:
        return "undecided"
    low, high = proportion_interval(having, n, protocol.prediction)
    return "yes" if low > 0.5 else "no" if high < 0.5 else "undecided"


def combined(answers: list[ThreeWay]) -> ThreeWay:
    """One answer of several that must all hold: no if one is no, yes if all are yes.

    >>> combined(["yes", "undecided"]), combined(["yes", "no"]), combined(["yes", "yes"])
    ('undecided', 'no', 'yes')
    """
    if not answers or ("undecided" in answers and "no" not in answers):
        return "undecided"
    return "no" if "no" in answers else "yes"


def _against_strongest(values: Floats, margin: float, protocol: Protocol) -> ThreeWay:
    strongest = values[values.mean(axis=1).argmin()]
    if len(strongest) < protocol.fewest:
        return "undecided"
    low, high = mean_interval(strongest, protocol.interval)
    if low > 0 and strongest.mean() >= margin:
        return "yes"
    return "no" if high < margin else "undecided"


def _stable(values: Floats, rule: Callable[[Floats], ThreeWay], protocol: Protocol) -> Decision:
    """The rule's answer, undecided if other seeds would often give another."""
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"decide: excesses {values.shape} are empty or not finite")
    n, before = values.shape[1], rule(values)
    strongest = int(values.mean(axis=1).argmin())
    low, high = mean_interval(values[strongest], protocol.interval) if n > 1 else (None, None)
    effect = float(values[strongest].mean())
    if n < protocol.fewest:
        return Decision("undecided", effect, low, high, n, strongest=strongest)
    rng = np.random.default_rng(_SEED)
    again = [rule(values[:, rng.integers(0, n, n)]) for _ in range(protocol.resamples)]
    repeat = again.count(before) / len(again)
    contradictions = float(np.mean([_contradict(values, rule, rng) for _ in range(protocol.resamples)]))
    still = before == "undecided" or (repeat >= protocol.repeats and contradictions <= protocol.contradicts)
    answer: ThreeWay = before if still else "undecided"
    return Decision(answer, effect, low, high, n, repeat, contradictions, strongest, before)


def _contradict(values: Floats, rule: Callable[[Floats], ThreeWay], rng: np.random.Generator) -> bool:
    order = rng.permutation(values.shape[1])
    half = len(order) // 2
    return {rule(values[:, order[:half]]), rule(values[:, order[half:]])} == {"yes", "no"}
