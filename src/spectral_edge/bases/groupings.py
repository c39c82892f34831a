"""Groupings q(a, b): which inputs a spectrum treats as one point of a cyclic group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases.coordinates import CoordinateSystem, check_pairs, coordinate_order, pair_coordinates
from spectral_edge.bases.naming import unknown_name
from spectral_edge.bases.operations import operation, operation_names
from spectral_edge.bases.residues import check_modulus, check_prime, discrete_log_table

__all__ = ["Grouping", "grouping", "grouping_names"]

_LINES: dict[str, tuple[CoordinateSystem, int]] = {
    "sum": ("additive", 1),
    "difference": ("additive", -1),
    "discrete_log": ("discrete_log", 1),
    "discrete_log_difference": ("discrete_log", -1),
    "gaussian_radial": ("gaussian", 1),
    "gaussian_angular": ("gaussian", -1),
}
"""Groupings q = x ± y mod M, each by its coordinates (x, y) and its sign."""


@dataclass(frozen=True)
class Grouping:
    """A map q from input pairs to Z_M, called as ``q(pairs)``; :func:`grouping` makes one.

    Attributes:
        name: The grouping's name, as given to :func:`grouping`.
        p: The modulus of the inputs.
        order: M, the number of groups: p for residues, p-1 for discrete logs.
    """

    name: str
    p: int
    order: int

    def __call__(self, pairs: ArrayLike) -> NDArray[np.int64]:
        """Label every pair with its group.

        Args:
            pairs: (N, 2) residues mod p.

        Returns:
            (N,) int64 in 0 … M-1, or -1 where q is undefined (the logarithm of 0, a division by 0).

        Raises:
            ValueError: ``pairs`` are not residues mod p.
        """
        family, _, operation_name = self.name.partition(":")
        if family in _LINES:
            return self._line_labels(pairs, *_LINES[family])
        output = operation(operation_name).output(check_pairs(pairs, self.p), self.p)
        if family == "output":
            return output
        return np.where(output < 0, -1, discrete_log_table(self.p)[output])

    def _line_labels(self, pairs: ArrayLike, system: CoordinateSystem, sign: int) -> NDArray[np.int64]:
        x, y = pair_coordinates(pairs, self.p, system).T
        return np.where(x < 0, -1, (x + sign * y) % self.order)


def grouping(name: str, p: int) -> Grouping:
    """Look up a grouping q(a, b) of the inputs mod p by name.

    ========================================  ==============================================
    "sum", "difference"                       (a ± b) mod p
    "discrete_log[_difference]"               (dlog a ± dlog b) mod (p-1)
    "gaussian_radial", "gaussian_angular"     (dlog u ± dlog v) mod (p-1), u, v = a ± ib
    "output:<operation>"                      the operation's value mod p
    "output_discrete_log:<operation>"         its discrete log mod (p-1)
    ========================================  ==============================================

    Labels are undefined (-1) where a logarithm of 0 would be needed. Groupings are not independent of
    each other: a = b, for one, always has a square product. Source: paper section 1.

    Args:
        name: One of :func:`grouping_names`.
        p: Odd modulus, at least 5; a prime for a discrete log, and p % 4 == 1 for the Gaussian groupings.

    Returns:
        The grouping: ``q(pairs)`` labels pairs, ``q.order`` is M.

    Raises:
        ValueError: The name is unknown (the message suggests the nearest), or ``p`` does not allow it.

    >>> q = grouping("discrete_log", p=5)
    >>> q([[2, 2], [2, 4], [0, 1]]), q.order
    (array([ 2,  3, -1]), 4)
    """
    if name not in grouping_names():
        raise unknown_name("grouping", name, grouping_names())
    if name in _LINES:
        return Grouping(name, check_modulus(p), coordinate_order(p, _LINES[name][0]))
    if name.startswith("output:"):
        p = operation(name.removeprefix("output:")).check(p)
        return Grouping(name, p, p)
    return Grouping(name, check_prime(p), check_prime(p) - 1)


def grouping_names() -> tuple[str, ...]:
    """List every grouping's name, those by output once per registered operation on residues.

    >>> grouping_names()[:3]
    ('sum', 'difference', 'discrete_log')
    """
    families = ("output", "output_discrete_log")
    residue_operations = [name for name in operation_names() if operation(name).on_residues]
    return (*_LINES, *(f"{family}:{name}" for family in families for name in residue_operations))
