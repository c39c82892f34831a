"""Finite groups given by their tables: is it one, which one, and its classes of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["GroupLaw", "agreement", "group_law"]

Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GroupLaw:
    """A group on the tokens 0 … n-1.

    Attributes:
        table: (n, n) the product of a and b.
        identity: its neutral token. Functions of a ∘ b do not show which token is neutral; any will do, and this one
            was chosen.
    """

    table: Tokens
    identity: int

    @cached_property
    def inverse(self) -> Tokens:
        """(n,) the inverse of every token."""
        return np.argmax(self.table == self.identity, axis=1)

    @property
    def abelian(self) -> bool:
        """Whether a ∘ b = b ∘ a for all tokens."""
        return bool((self.table == self.table.T).all())

    @cached_property
    def orders(self) -> Tokens:
        """(n,) the order of every token: the least m with a^m neutral."""
        n = len(self.table)
        power, orders = np.arange(n), np.zeros(n, dtype=np.int64)
        for m in range(1, n + 1):
            orders[(power == self.identity) & (orders == 0)] = m
            power = self.table[power, np.arange(n)]
        return orders

    @property
    def cycles(self) -> tuple[int, ...] | None:
        """Orders of the cyclic groups whose product this is, each a multiple of the next; None if not abelian."""
        if not self.abelian:
            return None
        factors: list[int] = []
        for prime, exponent in sympy.factorint(len(self.table)).items():
            # In a product of groups Z_{q^e}, as many e are at least i as log_q |{a : a^(q^i) = 1}| grows from i-1 to i.
            sizes = [int((prime**i % self.orders == 0).sum()) for i in range(exponent + 1)]
            ranks = [round(np.log(sizes[i + 1] / sizes[i]) / np.log(prime)) for i in range(exponent)]
            for rank in range(ranks[0]):
                power = prime ** sum(r > rank for r in ranks)
                factors = [*factors, 1] if rank >= len(factors) else factors
                factors[rank] *= power
        return tuple(factors)

    @property
    def name(self) -> str:
        """Z_97, Z_49 x Z_2, or the order and how many elements have which order."""
        if self.cycles is not None:
            return " x ".join(f"Z_{m}" for m in self.cycles) or "trivial"
        counts = ", ".join(f"{(self.orders == m).sum()} of order {m}" for m in np.unique(self.orders))
        return f"non-abelian of order {len(self.table)} ({counts})"

    def cyclic_order(self, generator: int) -> Tokens:
        """The powers g^0, g^1, … of a token, as many as its order."""
        powers = [self.identity]
        for _ in range(int(self.orders[generator]) - 1):
            powers.append(int(self.table[powers[-1], generator]))
        return np.array(powers)

    def classes(self, kind: str, shift: int | None = None) -> Tokens:
        """(n, n) the group of every pair (a, b): "sum" a s b, "difference" a b^-1, "left_difference" a^-1 b.

        Args:
            kind: which of them.
            shift: the token s of a sum; it matters in a group that is not abelian. The neutral one if left out.
        """
        if kind == "sum":
            return self.table if shift is None else self.table[self.table[:, shift]]
        if kind == "difference":
            return self.table[:, self.inverse]
        if kind == "left_difference":
            return self.table[self.inverse]
        raise ValueError(f"classes: kind = {kind!r}; choose sum, difference or left_difference")


def group_law(table: Tokens) -> GroupLaw | None:
    """The group with this table, or None: it must have a neutral token, be a Latin square, and be associative.

    >>> group_law(np.add.outer(np.arange(6), np.arange(6)) % 6).name
    'Z_6'
    """
    n = len(table)
    tokens = np.arange(n)
    neutral = np.flatnonzero((table == tokens).all(axis=1) & (tokens == table.T).all(axis=1))
    latin = (np.sort(table, 0) == tokens[:, None]).all() and (np.sort(table, 1) == tokens).all()
    if len(neutral) == 0 or not latin or any((table[table[a]] != table[a][table]).any() for a in range(n)):
        return None
    return GroupLaw(table, int(neutral[0]))


def agreement(first: Tokens, second: Tokens) -> float:
    """Share of pairs on which two labellings agree under the best one-to-one naming of their groups.

    Both are of one shape and not empty, with labels of at least 0.

    >>> agreement(np.array([0, 0, 1, 2]), np.array([5, 5, 0, 0]))
    0.75
    """
    if first.shape != second.shape or not first.size or min(first.min(), second.min()) < 0:
        raise ValueError(f"agreement: labels of shapes {first.shape}, {second.shape}; need one shape, labels from 0 on")
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / first.size)
