"""Binary operations mod p as learning tasks: their pairs, labels and splits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spectral_edge.bases import operation

__all__ = ["ModularTask", "Split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint index arrays into a task's pairs, in the shuffled order that batches are drawn from."""

    train: np.ndarray
    test: np.ndarray

    def __repr__(self) -> str:
        return f"Split(train={len(self.train)}, test={len(self.test)})"


@dataclass(frozen=True)
class ModularTask:
    """Learn (a, b) -> a ∘ b mod p from part of its table (paper, section 2).

    Args:
        name: an operation of :func:`spectral_edge.bases.operation`, built in or registered.
        p: the modulus, odd and at least 5.
        nonzero: leave out pairs that contain 0, so that every operation has the same domain (multitask protocol).

    Raises:
        ValueError: unknown operation (the message names the nearest), or an unusable modulus.

    >>> task = ModularTask("add", p=97)
    >>> task.pairs.shape, task.labels[:3].tolist(), task.split(0.5, seed=42)
    ((9409, 2), [0, 1, 2], Split(train=4704, test=4705))
    """

    name: str
    p: int = 97
    nonzero: bool = False

    def __post_init__(self) -> None:
        _ = self.pairs  # an unknown name or modulus is refused here, not at first use

    @cached_property
    def pairs(self) -> np.ndarray:
        """(N, 2) int64, a-major: all pairs the operation is defined on, or those of them without a 0."""
        pairs = operation(self.name).pairs(self.p)
        return pairs[(pairs != 0).all(axis=1)] if self.nonzero else pairs

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64 in 0..p-1."""
        return operation(self.name).output(self.pairs, self.p)

    def split(self, frac_train: float = 0.5, seed: int = 42) -> Split:
        """Shuffle as ``random.Random(seed).shuffle`` does; the first int(frac_train N) pairs train.

        Raises:
            ValueError: either side would be empty.
        """
        order = list(range(len(self.pairs)))
        random.Random(seed).shuffle(order)
        n_train = int(frac_train * len(order))
        if not 0 < n_train < len(order):
            raise ValueError(f"split: frac_train = {frac_train} leaves {n_train} of {len(order)} pairs to train on")
        return Split(np.array(order[:n_train]), np.array(order[n_train:]))
