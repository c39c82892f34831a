"""Binary operations on residues: the functions a network is asked to learn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases.coordinates import check_pairs
from spectral_edge.bases.naming import unknown_name
from spectral_edge.bases.residues import check_modulus, check_prime, inverse_table
from spectral_edge.bases.tables import (
    check_dihedral,
    check_symmetric,
    check_table,
    check_velocity,
    compose_permutations,
    dihedral_product,
    look_up_random,
    renaming,
    velocity_sum,
)

__all__ = ["Domain", "Operation", "operation", "operation_names", "register_operation"]

Residues = NDArray[np.int64]
Domain = Literal["all", "nonzero", "nonzero_b"]


@dataclass(frozen=True)
class Operation:
    """A binary operation (a, b) -> c on residues mod p, and the pairs it is posed on.

    Attributes:
        name: The key it is found under.
        function: ``function(a, b, p)`` on int64 arrays, giving residues 0 … p-1, or -1 where the operation
            has no value (a division by 0).
        formula: The operation as people write it.
        domain: The pairs a task asks about: "all", "nonzero" (a and b), or "nonzero_b". The function may
            be defined on more: multiplication by 0 has a value, but the paper leaves it out.
        check: ``check(p)`` returns p, or raises ValueError where the operation does not exist on p tokens.
    """

    name: str
    function: Callable[[Residues, Residues, int], Residues]
    formula: str
    domain: Domain = "all"
    check: Callable[[int], int] = check_modulus

    def __post_init__(self) -> None:
        if self.domain not in get_args(Domain):
            raise unknown_name(f"domain of operation {self.name!r}", self.domain, get_args(Domain))

    @property
    def on_residues(self) -> bool:
        """Whether tokens are residues mod p, so that sums and logarithms of outputs mean something."""
        return self.check in (check_modulus, _check_invertible)

    def __repr__(self) -> str:
        return f"Operation({self.name}: {self.formula}, domain={self.domain})"

    def pairs(self, p: int) -> NDArray[np.int64]:
        """List the operation's domain mod p, a-major: (0, 0), (0, 1), …

        Source: paper section 2. The order matters: the reference shuffles this list to split it.

        Args:
            p: Number of tokens: for residues an odd modulus, at least 5.

        Returns:
            (N, 2) int64 with N = p², p(p-1) or (p-1)².

        Raises:
            ValueError: The operation does not exist for this ``p``.

        >>> operation("mul").pairs(5)[:5].tolist()
        [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1]]
        """
        p = self.check(p)
        a = np.arange(self.domain == "nonzero", p, dtype=np.int64)
        b = np.arange(self.domain != "all", p, dtype=np.int64)
        return np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)

    def output(self, pairs: ArrayLike, p: int) -> NDArray[np.int64]:
        """Evaluate the operation on every pair: c = function(a, b) mod p.

        Args:
            pairs: (N, 2) residues; they need not lie in the operation's domain.
            p: Number of tokens, as for :meth:`pairs`; a prime for ``div``.

        Returns:
            (N,) int64 in 0 … p-1, or -1 where the operation has no value (never on its domain).

        Raises:
            ValueError: ``pairs`` are not residues mod p, or a registered function gave no residues.

        >>> operation("div").output([[1, 2], [1, 0]], 5)  # 1/2 = 3 mod 5
        array([ 3, -1])
        """
        pairs = check_pairs(pairs, self.check(p))
        given = np.asarray(self.function(pairs[:, 0], pairs[:, 1], p))
        output = given.astype(np.int64)
        if output.shape != (len(pairs),) or (output != given).any() or (output < -1).any() or (output >= p).any():
            raise ValueError(
                f"operation {self.name!r} gave values of shape {output.shape}, not all integers in -1 … {p - 1}, "
                f"for {len(pairs)} pairs; its function must return one residue mod p per pair"
            )
        return output


_OPERATIONS: dict[str, Operation] = {}


def register_operation(operation: Operation) -> Operation:
    """Make ``operation`` known by its name, to :func:`operation` and to the groupings by output.

    Args:
        operation: The operation; its name must be free.

    Returns:
        The same operation.

    Raises:
        ValueError: The name is taken.
    """
    if operation.name in _OPERATIONS:
        raise ValueError(
            f"operation {operation.name!r} is already registered as {_OPERATIONS[operation.name].formula}; "
            "choose another name"
        )
    _OPERATIONS[operation.name] = operation
    return operation


def operation(name: str) -> Operation:
    """Look up a registered operation by name, or one of these with its tokens renamed.

    ``<name>.renamed<k>`` is operation ``name`` seen through the k-th random permutation of its tokens: an equal task
    to a network, and to an analysis that must not know which token is which number. Where 0 is left out of the
    domain it keeps its name.

    Args:
        name: One of :func:`operation_names`, alone or followed by ``.renamed<k>``.

    Returns:
        The operation.

    Raises:
        ValueError: No operation has this name; the message suggests the nearest.

    >>> operation("x2_y2")
    Operation(x2_y2: a² + b², domain=all)
    """
    renamed = re.fullmatch(r"(.+)\.renamed(\d+)", name)
    if renamed and renamed[1] in _OPERATIONS:
        return _renamed(_OPERATIONS[renamed[1]], int(renamed[2]))
    if name not in _OPERATIONS:
        raise unknown_name("operation", name, _OPERATIONS)
    return _OPERATIONS[name]


def operation_names() -> tuple[str, ...]:
    """List the names of all registered operations, in order of registration.

    >>> operation_names()[:4]
    ('add', 'sub', 'mul', 'div')
    """
    return tuple(_OPERATIONS)


def _renamed(base: Operation, k: int) -> Operation:
    def function(a: Residues, b: Residues, p: int) -> Residues:
        new, old = renaming(k, p, fixed=() if base.domain == "all" else (0,))
        output = base.function(old[a], old[b], p)
        return np.where(output < 0, -1, new[output])

    return Operation(f"{base.name}.renamed{k}", function, f"{base.formula}, renamed", base.domain, base.check)


def _check_invertible(p: int) -> int:
    return check_prime(p, "a division")


def _divide(a: Residues, b: Residues, p: int) -> Residues:
    return np.where(b == 0, -1, a * inverse_table(p)[b] % p)


for _operation in (
    Operation("add", lambda a, b, p: (a + b) % p, "a + b"),
    Operation("sub", lambda a, b, p: (a - b) % p, "a - b"),
    Operation("mul", lambda a, b, p: a * b % p, "a · b", "nonzero"),
    Operation("div", _divide, "a · b⁻¹", "nonzero_b", _check_invertible),
    Operation("x2_y2", lambda a, b, p: (a * a + b * b) % p, "a² + b²"),
    Operation("x2_xy_y2", lambda a, b, p: (a * a + a * b + b * b) % p, "a² + ab + b²"),
    Operation("x3_xy", lambda a, b, p: (a * a % p * a + a * b) % p, "a³ + ab"),
    # Polynomials that no known law reduces: controls that do not generalise (arXiv:2201.02177 has the first two).
    Operation("x2_xy_y2_x", lambda a, b, p: (a * a + a * b + b * b + a) % p, "a² + ab + b² + a"),
    Operation("x3_xy2_y", lambda a, b, p: (a * a % p * a + a * b % p * b + b) % p, "a³ + ab² + b"),
    Operation("x2y_xy2", lambda a, b, p: a * b % p * (a + b) % p, "a²b + ab²"),
    Operation("x3_x2y_y", lambda a, b, p: (a * a % p * (a + b) + b) % p, "a³ + a²b + b"),
    Operation("x3_xy_y2", lambda a, b, p: (a * a % p * a + a * b + b * b) % p, "a³ + ab + b²"),
    Operation("dihedral", dihedral_product, "a · b in the dihedral group of p elements", check=check_dihedral),
    Operation("symmetric", compose_permutations, "a ∘ b in the symmetric group of p elements", check=check_symmetric),
    Operation("velocity", velocity_sum, "(a + b)/(1 + d a b) on a projective line of p points", check=check_velocity),
    Operation("random_table", look_up_random, "a fixed random table", check=check_table),
):
    register_operation(_operation)
