"""Operations on tokens that are not residues: finite groups, a random table, and the renaming of tokens."""

from __future__ import annotations

import itertools
import math
import operator
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = [
    "check_dihedral",
    "check_symmetric",
    "check_table",
    "check_velocity",
    "compose_permutations",
    "dihedral_product",
    "look_up_random",
    "renaming",
    "velocity_sum",
]

Tokens = NDArray[np.int64]


def check_dihedral(p: int) -> int:
    """Return ``p``, the order of a dihedral group: even and at least 6."""
    p = operator.index(p)
    if p < 6 or p % 2:
        raise ValueError(f"dihedral: a dihedral group has p = 2n elements with n at least 3, not {p}")
    return p


def dihedral_product(a: Tokens, b: Tokens, p: int) -> Tokens:
    """Multiply in the dihedral group of order p = 2n, where token k + n s stands for r^k s, a rotation and a flip.

    >>> dihedral_product(np.array([3]), np.array([1]), 6)  # s r = r^-1 s
    array([5])
    """
    n = p // 2
    flipped = a >= n
    turn = (a + np.where(flipped, -1, 1) * (b % n)) % n
    return np.asarray(turn + n * (flipped ^ (b >= n)))


def check_symmetric(p: int) -> int:
    """Return ``p``, the order of a symmetric group: 6, 24, 120 or 720."""
    p = operator.index(p)
    if p not in (6, 24, 120, 720):
        raise ValueError(f"symmetric: a symmetric group has p = 6, 24, 120 or 720 elements, not {p}")
    return p


def compose_permutations(a: Tokens, b: Tokens, p: int) -> Tokens:
    """Compose in the symmetric group of order p: (a ∘ b)(i) = a(b(i)); tokens are permutations in dictionary order.

    >>> compose_permutations(np.array([1, 2]), np.array([1, 1]), 6)  # a swap twice; (0 1) after (1 2) is 0 -> 1 -> 2
    array([0, 3])
    """
    return _symmetric_table(p)[a, b]


@lru_cache(maxsize=4)
def _symmetric_table(p: int) -> Tokens:
    m = next(m for m in range(7) if math.factorial(m) == p)
    permutations = np.array(list(itertools.permutations(range(m))))
    digits = m ** np.arange(m - 1, -1, -1)  # dictionary order is the order of these numbers
    composed = permutations[:, permutations]  # [a, b, i] = a(b(i))
    table = np.searchsorted(permutations @ digits, composed @ digits)
    table.setflags(write=False)
    return table


def check_velocity(p: int) -> int:
    """Return ``p``, one more than an odd prime: the number of points of a projective line."""
    p = operator.index(p)
    if p < 6 or not sympy.isprime(p - 1):
        raise ValueError(f"velocity: needs p = q + 1 tokens with q a prime of at least 5, not {p}")
    return p


def velocity_sum(a: Tokens, b: Tokens, p: int) -> Tokens:
    """Add velocities mod q = p - 1: (a + b)/(1 + d a b), d the smallest non-square; token q is infinity.

    It is the product of a_0 + a_1 sqrt(d), a = a_1/a_0, up to scale: the cyclic group of the q + 1 points of the
    projective line, whose characters are functions of no sum, product or logarithm mod q.

    >>> velocity_sum(np.array([3, 7, 7]), np.array([0, 7, 0]), 8)  # 0 is neutral, infinity is its own inverse
    array([3, 0, 7])
    """
    q = p - 1
    squares = {int(x) for x in np.arange(1, q) ** 2 % q}
    d = next(x for x in range(2, q) if x not in squares)
    inverse = np.array([0, *(pow(x, -1, q) for x in range(1, q))])
    a_0, a_1, b_0, b_1 = a != q, np.where(a == q, 1, a), b != q, np.where(b == q, 1, b)
    above, below = (a_1 * b_0 + a_0 * b_1) % q, (a_0 * b_0 + d * a_1 * b_1) % q
    return np.where(below == 0, q, above * inverse[below] % q)


def check_table(p: int) -> int:
    """Return ``p``, at least 3."""
    p = operator.index(p)
    if p < 3:
        raise ValueError(f"random_table: needs at least 3 tokens, not {p}")
    return p


def look_up_random(a: Tokens, b: Tokens, p: int) -> Tokens:
    """Look (a, b) up in a table of independent uniform tokens: nothing to learn but the table itself."""
    return np.random.default_rng(p).integers(0, p, (p, p))[a, b]


@lru_cache(maxsize=32)
def renaming(k: int, p: int, fixed: tuple[int, ...] = ()) -> tuple[Tokens, Tokens]:
    """Draw the k-th permutation of p tokens: new names by old, and old names by new.

    Args:
        k: which; also the seed.
        p: number of tokens.
        fixed: tokens that keep their names.

    >>> new, old = renaming(1, 5, fixed=(0,))
    >>> new[0], old[new].tolist()
    (np.int64(0), [0, 1, 2, 3, 4])
    """
    moved = np.setdiff1d(np.arange(p), fixed)
    new = np.arange(p)
    new[moved] = np.random.default_rng(k).permutation(moved)
    old = np.argsort(new)
    new.setflags(write=False)
    old.setflags(write=False)
    return new, old
