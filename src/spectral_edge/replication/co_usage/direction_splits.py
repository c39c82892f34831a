"""Numbers of directions above and below the edge, beside the same numbers of random directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np

from spectral_edge.replication.null_summary import summarise
from spectral_edge.store import NullSummary

__all__ = ["Alternative", "Alternatives", "Compared", "DirectionSplits", "Split"]

_SUBSETS = 999
Alternative = Literal["greater", "less"]
Alternatives = tuple[Alternative, Alternative, Alternative]
"""What is extreme above the edge, below it, and in the difference of the two."""
_Statistic = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Split:
    """The first m of k directions, above the edge, and the others, below it; ``edge`` names m where m is the run's."""

    m: int
    k: int
    edge: str = ""

    @property
    def above(self) -> str:
        """``v1..v3``, or ``v1..vk*``."""
        return f"v1..v{self.edge or self.m}"

    @property
    def below(self) -> str:
        """``v4..v8``, or ``vk*+1..v8``."""
        return f"v{f'{self.edge}+1' if self.edge else self.m + 1}..v{self.k}"


@dataclass(frozen=True)
class Compared:
    """A number and its nulls, the first of which decides."""

    measured: float
    null: NullSummary
    further_nulls: list[NullSummary] = field(default_factory=list)


@dataclass(frozen=True)
class DirectionSplits:
    """Compares v_1 … v_k with n random directions; arrays hold the k values first and the n after them.

    A statistic of two sets of directions is held against the same statistic of two random disjoint sets of all k + n:
    a two-sample permutation test, exact if edge directions are no different from random ones. A difference between
    the sets also meets every other way of calling m of v_1 … v_k the edge (``label_permutation``): whether the
    *order* of the directions has anything to do with it.

    Args:
        k: edge directions.
        n: random directions.
        seed: of the subsets, of which there are 999.
    """

    k: int
    n: int
    seed: int

    def singles(self, values: np.ndarray) -> list[Compared]:
        """Every v_i against the random directions; values (k + n,)."""
        null = values[self.k :]
        return [Compared(float(v), summarise(null, float(v))) for v in values[: self.k]]

    def means(self, values: np.ndarray, split: Split, alternatives: Alternatives) -> dict[str, Compared]:
        """Mean of values (k + n,) above the edge, below it, and their difference; nothing if one side is empty."""
        if not 0 < split.m < self.k:
            return {}
        above, below = f"mean({split.above})", f"mean({split.below})"
        return {
            above: self._compared(lambda a, _: float(values[a].mean()), split, alternatives[0]),
            below: self._compared(lambda _, b: float(values[b].mean()), split, alternatives[1]),
            f"{above}-{below}": self._compared(
                lambda a, b: float(values[a].mean() - values[b].mean()), split, alternatives[2], relabel=True
            ),
        }

    def pairs(self, values: np.ndarray, split: Split, alternatives: Alternatives) -> dict[str, Compared]:
        """Mean of symmetric values (k + n, k + n) over pairs above, pairs below, pairs across, and above minus below.

        A side of one direction has no pairs; what needs it is left out. Pairs across share the alternative of pairs
        below.
        """
        m, k = split.m, self.k

        def within(chosen: np.ndarray) -> float:
            block, size = values[np.ix_(chosen, chosen)], len(chosen)
            return float((block.sum() - np.trace(block)) / (size * (size - 1)))

        above, below = f"within({split.above})", f"within({split.below})"
        found: dict[str, Compared] = {}
        if 1 < m <= k:
            found[above] = self._compared(lambda a, _: within(a), split, alternatives[0])
        if k - m > 1:
            found[below] = self._compared(lambda _, b: within(b), split, alternatives[1])
        if 0 < m < k:
            found[f"across({split.above},{split.below})"] = self._compared(
                lambda a, b: float(values[np.ix_(a, b)].mean()), split, alternatives[1]
            )
        if 1 < m < k - 1:
            found[f"{above}-{below}"] = self._compared(
                lambda a, b: within(a) - within(b), split, alternatives[2], relabel=True
            )
        return found

    @cached_property
    def _draws(self) -> np.ndarray:
        rng = np.random.default_rng((self.seed, self.k))
        return np.stack([rng.choice(self.k + self.n, self.k, replace=False) for _ in range(_SUBSETS)])

    def _compared(
        self, statistic: _Statistic, split: Split, alternative: Alternative, relabel: bool = False
    ) -> Compared:
        m, k = split.m, self.k
        measured = statistic(np.arange(m), np.arange(m, k))
        random = np.array([statistic(draw[:m], draw[m:]) for draw in self._draws])
        further = []
        if relabel:
            # The first combination is the measured one.
            others = [np.array(chosen) for chosen in list(combinations(range(k), m))[1:]]
            samples = np.array([statistic(chosen, np.setdiff1d(np.arange(k), chosen)) for chosen in others])
            further = [summarise(samples, measured, "label_permutation", alternative)]
        return Compared(measured, summarise(random, measured, "random_directions", alternative), further)
