"""Coordinates of an input pair: the systems in which a grouping or a character is written."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases.naming import unknown_name
from spectral_edge.bases.residues import check_modulus, check_prime, discrete_log_table, sqrt_minus_one

__all__ = ["CoordinateSystem", "check_pairs", "coordinate_order", "pair_coordinates"]

CoordinateSystem = Literal["additive", "discrete_log", "gaussian"]


def check_pairs(pairs: ArrayLike, p: int) -> NDArray[np.int64]:
    """Return ``pairs`` as (N, 2) int64, refusing anything that is not pairs of tokens 0 … p-1.

    Args:
        pairs: Integers of shape (N, 2); a CPU tensor will do.
        p: Number of tokens.

    Returns:
        (N, 2) int64.

    Raises:
        ValueError: The shape or type is wrong, or a residue lies outside 0 … p-1.
    """
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"pairs must be integers of shape (N, 2), not {array.dtype} of shape {array.shape}")
    outside = np.flatnonzero(((array < 0) | (array >= p)).any(axis=1))
    if outside.size:
        row = outside[0]
        raise ValueError(
            f"pairs[{row}] = {tuple(array[row].tolist())} is not a pair of residues mod {p}; reduce it mod p"
        )
    return array.astype(np.int64, copy=False)


def coordinate_order(p: int, coordinates: CoordinateSystem) -> int:
    """Return M, the number of values each coordinate takes: p if additive, otherwise p-1.

    Args:
        p: Odd modulus, at least 5; a prime unless ``coordinates`` is "additive".
        coordinates: "additive", "discrete_log" or "gaussian".

    Returns:
        The order M of the cyclic group each coordinate lives in.

    Raises:
        ValueError: The system is unknown or does not exist for this ``p``.

    >>> coordinate_order(97, "additive"), coordinate_order(97, "gaussian")
    (97, 96)
    """
    if coordinates not in get_args(CoordinateSystem):
        raise unknown_name("coordinates", coordinates, get_args(CoordinateSystem))
    if coordinates == "additive":
        return check_modulus(p)
    if coordinates == "gaussian":
        sqrt_minus_one(p)
    return check_prime(p) - 1


def pair_coordinates(pairs: ArrayLike, p: int, coordinates: CoordinateSystem) -> NDArray[np.int64]:
    """Write each pair (a, b) in a coordinate system: (x, y) mod M.

    additive (a, b); discrete_log (dlog a, dlog b); gaussian (dlog(a+ib), dlog(a-ib)) with i² = -1 mod p.
    Each is one-to-one where it is defined. Source: paper section 1.

    Args:
        pairs: (N, 2) residues mod p.
        p: Odd modulus, at least 5; a prime for "discrete_log", and p % 4 == 1 for "gaussian".
        coordinates: "additive", "discrete_log" or "gaussian".

    Returns:
        (N, 2) int64 in 0 … M-1, with M from :func:`coordinate_order`; both entries -1 where a logarithm of
        0 would be needed: a or b = 0, respectively a² + b² = 0.

    Raises:
        ValueError: ``pairs`` are not residues, or the system does not exist for this ``p``.

    >>> pair_coordinates([[1, 2], [0, 3]], 5, "discrete_log").tolist()
    [[0, 1], [-1, -1]]
    """
    coordinate_order(p, coordinates)
    pairs = check_pairs(pairs, p)
    if coordinates == "additive":
        return pairs
    if coordinates == "gaussian":
        i, (a, b) = sqrt_minus_one(p), pairs.T
        pairs = np.stack([(a + i * b) % p, (a - i * b) % p], axis=1)
    logs = discrete_log_table(p)[pairs]
    logs[(logs < 0).any(axis=1)] = -1
    return logs
