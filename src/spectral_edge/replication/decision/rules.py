"""From excesses over seeds to one of three answers, and how still that answer holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.statistics import proportion_interval
from spectral_edge.store.claims import ThreeWay

__all__ = [
    "Contrast",
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
        contradictions: share of random halves of which one says yes and the other no; ``None`` if halves are too few.
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

    @property
    def negated(self) -> Decision:
        """The same with the excess counted the other way."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(self, effect=-self.effect, low=low, high=high)


@dataclass(frozen=True, eq=False)
class Contrast:
    """The excess over one null: of each seed, or of seeds over runs that are compared with them.

    Attributes:
        values: (n,) one a seed: measured - null mean, or the reverse for claims of small numbers; with a reference, the
            measured number.
        reference: (m,) the same number of the runs compared with, which has a spread of its own; empty if the null mean
            is subtracted already.
        seeds: of the values, where several contrasts must be of the same.
    """

    values: Floats
    reference: Floats = field(default_factory=lambda: np.empty(0))
    seeds: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """The mean excess."""
        return float(self.values.mean() - (self.reference.mean() if len(self.reference) else 0.0))

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval of the mean excess; Welch's where there is a reference."""
        _, low, high = _intervals(self.values[None], self.reference[None], level)
        return float(low[0]), float(high[0])

    def resampled(self, seeds: NDArray[np.int64], level: float, rng: np.random.Generator) -> tuple[Floats, ...]:
        """Mean excess and interval of R selections of seeds (R, m), each with a bootstrap sample of the reference."""
        m = len(self.reference)
        return _intervals(self.values[seeds], self.reference[rng.integers(0, m, (len(seeds), m))], level)


def _intervals(values: Floats, references: Floats, level: float) -> tuple[Floats, ...]:
    """Means (R,) of rows (R, n) less those of their references (R, m), with the ends of their intervals."""
    (_, n), (_, m) = values.shape, references.shape
    mean = values.mean(axis=1) - (references.mean(axis=1) if m else 0.0)
    variance = values.var(axis=1, ddof=1) / n
    freedom: Floats = np.full(len(values), n - 1.0)
    if m:
        other = references.var(axis=1, ddof=1) / m
        parts = variance**2 / (n - 1) + other**2 / (m - 1)
        variance = variance + other
        freedom = np.divide(variance**2, parts, out=freedom, where=parts > 0)
    half = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)
    return mean, mean - half, mean + half


_Rule = Callable[[Floats, Floats, Floats], NDArray[np.str_]]
"""Answers (R,) from means and both ends of their intervals."""


def decide(contrasts: Floats | Sequence[Contrast], margin: float, protocol: Protocol) -> Decision:
    """Decide whether an effect exceeds every null, from its excess over each.

    yes: the interval of the mean excess over the strongest null lies above zero and the mean reaches the margin; no:
    its upper end lies below the margin; undecided otherwise, with too few seeds, or if the answer does not hold still.

    Args:
        contrasts: one a null, of the same seeds; or an array (nulls, seeds) or (seeds,) of excesses.
        margin: in the unit of the excesses.
        protocol: levels and limits.

    Raises:
        ValueError: there are no seeds, an excess is not finite, or nulls have different numbers of seeds.
    """

    def rule(mean: Floats, low: Floats, high: Floats) -> NDArray[np.str_]:
        return np.where((low > 0) & (mean >= margin), "yes", np.where(high < margin, "no", "undecided"))

    return _stable(_as_contrasts(contrasts), rule, protocol)


def decide_bound(values: Floats, bound: float, protocol: Protocol) -> Decision:
    """Decide whether the mean over seeds lies below a bound: yes if the interval does, no if it lies above.

    The effect is bound - mean.

    Raises:
        ValueError: as :func:`decide`.
    """

    def rule(mean: Floats, low: Floats, high: Floats) -> NDArray[np.str_]:
        return np.where(low > 0, "yes", np.where(high < 0, "no", "undecided"))

    return _stable(_as_contrasts(bound - values), rule, protocol)


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


def _as_contrasts(contrasts: Floats | Sequence[Contrast]) -> list[Contrast]:
    if isinstance(contrasts, np.ndarray):
        contrasts = [Contrast(row) for row in np.atleast_2d(contrasts)]
    sizes = {len(contrast.values) for contrast in contrasts}
    numbers = [np.concatenate([contrast.values, contrast.reference]) for contrast in contrasts]
    if len(sizes) != 1 or 0 in sizes or not all(np.isfinite(row).all() for row in numbers):
        raise ValueError(f"decide: excesses of {sorted(sizes)} seeds are empty, of different seeds, or not finite")
    return list(contrasts)


def _stable(contrasts: Sequence[Contrast], rule: _Rule, protocol: Protocol) -> Decision:
    """The rule's answer, undecided if other seeds would often give another."""
    strongest = min(range(len(contrasts)), key=lambda i: contrasts[i].mean)
    own, n = contrasts[strongest], len(contrasts[0].values)
    low, high = own.interval(protocol.interval) if n > 1 else (None, None)
    if low is None or high is None or n < protocol.fewest:
        return Decision("undecided", own.mean, low, high, n, strongest=strongest)
    before: ThreeWay = str(rule(*map(np.array, ([own.mean], [low], [high])))[0])  # type: ignore[assignment]
    rng = np.random.default_rng(_SEED)

    def of_seeds(seeds: NDArray[np.int64]) -> NDArray[np.str_]:
        found = np.array([contrast.resampled(seeds, protocol.interval, rng) for contrast in contrasts])
        return rule(*found[found[:, 0].argmin(axis=0), :, np.arange(len(seeds))].T)

    again = of_seeds(rng.integers(0, n, (protocol.resamples, n)))
    repeat = float((again == before).mean())
    contradictions = _contradictions(of_seeds, n, protocol, rng)
    still = before == "undecided" or (repeat >= protocol.repeats and (contradictions or 0) <= protocol.contradicts)
    answer: ThreeWay = before if still else "undecided"
    return Decision(answer, own.mean, low, high, n, repeat, contradictions, strongest, before)


def _contradictions(
    of_seeds: Callable[[NDArray[np.int64]], NDArray[np.str_]], n: int, protocol: Protocol, rng: np.random.Generator
) -> float | None:
    """Share of random halves that contradict each other; ``None`` where a half has too few seeds to say anything."""
    if n < 2 * protocol.fewest:
        return None
    orders = rng.permuted(np.tile(np.arange(n), (protocol.resamples, 1)), axis=1)
    one, other = of_seeds(orders[:, : n // 2]), of_seeds(orders[:, n // 2 :])
    return float((((one == "yes") & (other == "no")) | ((one == "no") & (other == "yes"))).mean())
