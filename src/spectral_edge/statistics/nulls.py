"""What chance gives: random directions, permuted inputs, random groups, p-values and their adjustment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "NullDistribution",
    "adjust",
    "random_directions",
    "rarity_pvalue",
    "regrouped",
]

# Of numbers that are equal but for the order of their sums.
_ROUNDING = 1e-9

Floats = NDArray[np.float64]


def random_directions(n: int, dim: int, seed: int) -> torch.Tensor:
    """Draw ``n`` independent unit vectors, uniform on the sphere in ``dim`` dimensions.

    Row i depends on (seed, i) only, so a longer list extends a shorter one and a null can be enlarged
    without drawing it again. Source: ours; paper section 5, null (a).

    Args:
        n: How many, at least 1.
        dim: Dimension D of the parameter subset, at least 1.
        seed: A nonnegative integer.

    Returns:
        (n, dim) float32 on the CPU, normalised in float64 before the cast. Costs n·dim normal draws.

    Raises:
        ValueError: ``n``, ``dim`` or ``seed`` is out of range.

    >>> random_directions(2, 1000, seed=0).norm(dim=1)
    tensor([1., 1.])
    """
    _check_draws(n, seed)
    if dim < 1:
        raise ValueError(f"dim = {dim}; a direction needs at least 1 dimension")
    directions = torch.empty(n, dim, dtype=torch.float32)
    for i in range(n):
        draw = _generator(seed, i).standard_normal(dim)
        directions[i] = torch.from_numpy(draw / np.linalg.norm(draw))
    return directions


@dataclass(frozen=True, eq=False, repr=False)
class NullDistribution:
    """Draws of one statistic where there is nothing to find.

    Attributes:
        samples: (n,) finite float64, read-only; at least one.
        kind: What was drawn: "random_directions", "input_permutation", …
    """

    samples: Floats
    kind: str

    def __post_init__(self) -> None:
        samples = np.array(self.samples, dtype=np.float64)
        if samples.ndim != 1 or samples.size == 0:
            raise ValueError(f"a {self.kind} null needs samples of shape (n,), n at least 1, not {samples.shape}")
        if not np.isfinite(samples).all():
            at = np.flatnonzero(~np.isfinite(samples))[0]
            raise ValueError(f"samples[{at}] of the {self.kind} null is {samples[at]}; is the function constant there?")
        samples.setflags(write=False)
        object.__setattr__(self, "samples", samples)

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.samples)

    @property
    def mean(self) -> float:
        """Mean of the draws."""
        return float(self.samples.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the draws, with divisor n: 0 for a single draw."""
        return float(self.samples.std())

    @property
    def quantile95(self) -> float:
        """The value that 95 % of the draws do not exceed (linear interpolation)."""
        return float(np.quantile(self.samples, 0.95))

    def pvalue(self, measured: float, alternative: Literal["greater", "less"] = "greater") -> float:
        """Return p = (b + 1)/(n + 1), b the draws at least as extreme as ``measured``, ties up to rounding included.

        Never 0: the measurement counts as one draw of the null. Source: paper section 5.

        Args:
            measured: The statistic as measured, finite.
            alternative: Whether large ("greater") or small ("less") values speak against the null.

        Returns:
            The p-value, in [1/(n+1), 1].

        Raises:
            ValueError: ``measured`` is not finite or ``alternative`` is unknown.

        >>> NullDistribution([0.1, 0.2, 0.3, 0.3], "random_directions").pvalue(0.3)
        0.6
        """
        if not np.isfinite(measured):
            raise ValueError(f"measured = {measured} has no p-value under the {self.kind} null")
        if alternative not in ("greater", "less"):
            raise ValueError(f"alternative = {alternative!r} is unknown; use 'greater' or 'less'")
        # Equal numbers that were computed in another order differ in their last digits: those of what they are
        # differences of, so that a measured 0 may be 1e-17. The median, as a single huge draw makes no ties.
        slack = _ROUNDING * max(abs(measured), float(np.median(np.abs(self.samples))))
        above = self.samples - measured if alternative == "greater" else measured - self.samples
        extreme = above >= -slack
        return (int(extreme.sum()) + 1) / (self.n + 1)

    def __repr__(self) -> str:
        return f"NullDistribution({self.kind}, n={self.n}, {self.mean:.3g} ± {self.std:.3g})"


def regrouped(
    statistic: Callable[[list[Hashable]], float], groups: Sequence[Hashable], draws: int, seed: int
) -> NullDistribution:
    """Draw a statistic of the grouping when members fall into groups at random, their sizes kept.

    The p-value of the statistic is exact if members are exchangeable, that is, if groups say nothing.

    Args:
        statistic: of a grouping, such as ``lambda g: intraclass_correlation(values, g)``; finite.
        groups: n names.
        draws: how many random groupings, at least 1.
        seed: a nonnegative integer; draw i depends on it and i only.

    Raises:
        ValueError: ``draws`` or ``seed`` is out of range, or the statistic is not finite.

    >>> null = regrouped(lambda names: float(names[0] == "a"), ["a", "b", "b", "b"], draws=400, seed=0)
    >>> 0.2 < null.mean < 0.3
    True
    """
    _check_draws(draws, seed)
    names = list(groups)
    values = []
    for i in range(draws):
        order = _generator(seed, i).permutation(len(names))
        values.append(statistic([names[j] for j in order]))
    return NullDistribution(np.array(values), "regrouped")


def rarity_pvalue(observed: Hashable, null: Iterable[Hashable]) -> float:
    """Share of draws whose value is as rare as the observed one, (b + 1)/(n + 1): a test for a category, not a size.

    A value's rarity is how often it occurs among the n null draws and the observation together; b counts null
    draws that are at least as rare. Exact under exchangeability, since the counts do not depend on the order.
    Counting only draws *equal* to the observation would not be a p-value: with many categories every observation
    would look rare. Source: ours.

    Args:
        observed: The category found, such as a peak frequency.
        null: n >= 1 categories of null draws.

    Raises:
        ValueError: There are no null draws.

    >>> rarity_pvalue(26, [26, 26, 26, 25]), rarity_pvalue(7, [26, 26, 26, 25])
    (1.0, 0.4)
    """
    draws = list(null)
    if not draws:
        raise ValueError("rarity_pvalue: there are no null draws")
    counts = Counter([observed, *draws])
    rarer = sum(counts[draw] <= counts[observed] for draw in draws)
    return (rarer + 1) / (len(draws) + 1)


def adjust(pvalues: ArrayLike) -> Floats:
    """Adjust one table's p-values for their number, after Benjamini and Hochberg.

    Rejecting where the adjusted value is at most α keeps the expected share of false rejections at most α
    for independent or positively dependent tests. Source: paper section 5, null (e).

    Args:
        pvalues: (m,) in [0, 1]; m = 0 gives an empty array.

    Returns:
        (m,) adjusted p-values in the same order, none below its p-value.

    Raises:
        ValueError: A p-value is missing (None or NaN) or outside [0, 1].

    >>> adjust([0.01, 0.04, 0.03])
    array([0.03, 0.04, 0.04])
    """
    array = np.array(pvalues, dtype=np.float64)  # None becomes NaN
    if array.ndim != 1:
        raise ValueError(f"pvalues must have shape (m,), one table at a time, not {array.shape}")
    refused = np.flatnonzero(~((array >= 0) & (array <= 1)))
    if refused.size:
        raise ValueError(
            f"pvalues[{refused[0]}] is {array[refused[0]]}, not a number in [0, 1]; "
            "adjust only the rows that have a p-value"
        )
    return stats.false_discovery_control(array) if array.size else array


def _generator(seed: int, i: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))


def _check_draws(n: int, seed: int) -> None:
    if n < 1:
        raise ValueError(f"n = {n} draws asked for; a null needs at least 1")
    if seed < 0:
        raise ValueError(f"seed = {seed}; need a nonnegative integer")
