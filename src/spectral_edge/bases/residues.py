"""Residues mod p: primitive root, discrete logarithm, inverses, and the square root of -1."""

from __future__ import annotations

import operator
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = [
    "check_modulus",
    "check_prime",
    "discrete_log_table",
    "inverse_table",
    "primitive_root",
    "sqrt_minus_one",
]


def check_modulus(p: int) -> int:
    """Return ``p`` as an int, refusing every modulus that is even or below 5.

    An even p has a self-paired frequency p/2 and p < 5 leaves fewer than two frequencies: neither has a
    spectrum to speak of. Source: ours.

    Args:
        p: The modulus.

    Returns:
        The same number as a plain int.

    Raises:
        TypeError: ``p`` is not an integer.
        ValueError: ``p`` is even or below 5.

    >>> check_modulus(97)
    97
    """
    p = operator.index(p)
    if p < 5 or p % 2 == 0:
        raise ValueError(f"modulus p = {p} must be odd and at least 5; the paper uses 97")
    return p


def check_prime(p: int, needed_for: str = "a discrete log") -> int:
    """Return ``p`` as an int, refusing a composite modulus where nonzero residues must form a cyclic group.

    Args:
        p: The modulus.
        needed_for: What the caller is about to compute, for the message.

    Returns:
        The same number as a plain int.

    Raises:
        ValueError: ``p`` is even, below 5 or composite.

    >>> check_prime(15)
    Traceback (most recent call last):
    ValueError: p must be prime where a discrete log is asked, but p = 15; the nearest primes are 13 and 17
    """
    p = check_modulus(p)
    if not sympy.isprime(p):
        raise ValueError(
            f"p must be prime where {needed_for} is asked, but p = {p}; "
            f"the nearest primes are {sympy.prevprime(p)} and {sympy.nextprime(p)}"
        )
    return p


def primitive_root(p: int) -> int:
    """Return the smallest g whose powers g^0 … g^(p-2) are all the nonzero residues mod p.

    Source: paper section 1, where g = 5 for p = 97.

    Args:
        p: An odd prime, at least 5.

    Returns:
        The smallest primitive root.

    Raises:
        ValueError: ``p`` is not such a prime.

    >>> primitive_root(97)
    5
    """
    return int(sympy.primitive_root(check_prime(p, "a primitive root")))


def discrete_log_table(p: int) -> NDArray[np.int64]:
    """Tabulate dlog x, the exponent in x = g^dlog(x) mod p, for every residue x.

    The base g is :func:`primitive_root`. The table turns products into sums: dlog(xy) = dlog x + dlog y
    mod p-1. Source: paper section 1.

    Args:
        p: An odd prime, at least 5.

    Returns:
        (p,) int64, read-only and cached: a permutation of 0 … p-2 on 1 … p-1, and -1 at 0, which has no
        logarithm. Costs p multiplications once.

    Raises:
        ValueError: ``p`` is not such a prime.

    >>> discrete_log_table(5)  # the powers of 2 are 1, 2, 4, 3
    array([-1,  0,  1,  3,  2])
    """
    return _discrete_log_table(check_prime(p, "a discrete log"))


def inverse_table(p: int) -> NDArray[np.int64]:
    """Tabulate x^-1 mod p, with xx^-1 = 1, for every residue x.

    Source: ours.

    Args:
        p: An odd prime, at least 5.

    Returns:
        (p,) int64, read-only and cached, with -1 at 0, which has no inverse.

    Raises:
        ValueError: ``p`` is not such a prime.

    >>> inverse_table(5)
    array([-1,  1,  3,  2,  4])
    """
    return _inverse_table(check_prime(p, "an inverse"))


def sqrt_minus_one(p: int) -> int:
    """Return the smallest i with i² = -1 mod p.

    It splits a² + b² into the factors (a+ib)(a-ib): the Gaussian coordinates. Source: paper section 1,
    where i = 22 for p = 97.

    Args:
        p: A prime with p % 4 == 1; no other odd prime has such an i.

    Returns:
        The smaller of the two roots.

    Raises:
        ValueError: ``p`` is not such a prime.

    >>> sqrt_minus_one(97)
    22
    """
    p = check_prime(p, "a square root of -1")
    if p % 4 != 1:
        raise ValueError(f"-1 has no square root mod p = {p}: p % 4 is {p % 4}, choose a prime with p % 4 == 1")
    root = pow(primitive_root(p), (p - 1) // 4, p)
    return min(root, p - root)


@lru_cache(maxsize=32)
def _discrete_log_table(p: int) -> NDArray[np.int64]:
    table = np.full(p, -1, dtype=np.int64)
    g, power = primitive_root(p), 1
    for exponent in range(p - 1):
        table[power] = exponent
        power = power * g % p
    table.setflags(write=False)
    return table


@lru_cache(maxsize=32)
def _inverse_table(p: int) -> NDArray[np.int64]:
    table = np.array([-1, *(pow(x, -1, p) for x in range(1, p))], dtype=np.int64)
    table.setflags(write=False)
    return table
