"""Inputs that belong together: folds that keep them together, and permutations that exchange them whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Documents", "plain_names"]

_FEWEST_PERMUTATIONS = 100


def plain_names(names: Sequence[Any] | NDArray[Any]) -> list[Any]:
    """Names as Python's own numbers and strings: elements of a tensor are all different, whatever their value."""
    to_list = getattr(names, "tolist", None) or getattr(names, "to_list", None)
    return list(to_list() if to_list else names)


class Documents:
    """A partition of N inputs into documents, in the order in which they first come.

    Args:
        names: (N,) the document of each input.

    Raises:
        ValueError: fewer than two documents.
    """

    def __init__(self, names: Sequence[Any] | NDArray[Any]) -> None:
        names = plain_names(names)
        order = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self.of_input = np.array([order[name] for name in names])
        """(N,) number of the document of each input."""
        if len(order) < 2:
            raise ValueError(f"documents: there is {len(order)}; permutations and folds need several")
        self._inputs = [np.flatnonzero(self.of_input == place) for place in range(len(order))]

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def permutations(self) -> float:
        """In how many ways documents of the same number of inputs can be exchanged."""
        sizes = Counter(len(inputs) for inputs in self._inputs)
        return float(np.prod([float(math.factorial(min(n, 20))) for n in sizes.values()]))

    def check_permutations(self) -> None:
        """Refuse documents that can hardly be exchanged.

        Raises:
            ValueError: there are fewer than 100 ways.
        """
        if self.permutations < _FEWEST_PERMUTATIONS:
            raise ValueError(
                f"documents: only those of the same number of inputs can be exchanged, in {self.permutations:.0f} ways "
                f"here, and {_FEWEST_PERMUTATIONS} are needed; cut documents into parts of equally many inputs"
            )

    def exchanged(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """(N,) from which input each takes its features, documents of the same size exchanged whole at random."""
        self.check_permutations()
        taken = np.empty(len(self.of_input), dtype=np.int64)
        for size in sorted({len(inputs) for inputs in self._inputs}):
            alike = [inputs for inputs in self._inputs if len(inputs) == size]
            for inputs, place in zip(alike, generator.permutation(len(alike)), strict=True):
                taken[inputs] = alike[place]
        return taken

    def folds(self, n: int) -> NDArray[np.int64]:
        """(N,) the fold 0 … n - 1 of each input, documents dealt out in random order, always the same.

        Raises:
            ValueError: there are fewer documents than folds.
        """
        if len(self) < n:
            raise ValueError(f"documents: {len(self)} make no {n} folds; pass more documents, or fewer folds=")
        dealt = np.empty(len(self), dtype=np.int64)
        dealt[np.random.default_rng(0).permutation(len(self))] = np.arange(len(self)) % n
        return dealt[self.of_input]
