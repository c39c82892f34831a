"""Functions of two tokens as operators: what neither token does alone, and the kernels it draws between tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "Interactions", "interactions_of", "principal"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A response has d components; the first few carry most of its interaction, and time grows with their number.
_COMPONENTS = 24
# Additive fits of incomplete tables converge geometrically unless the table falls apart into blocks.
_ADDITIVE_SWEEPS = 15
_LEAST_TOKENS = 5
# An interaction is rounding below this share of the variance, or where its root mean square is below the spacing of
# float32 at the largest value.
_ROUNDING = 1e-10
_SPACING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Interactions:
    """k directions, each with c functions F(a, b) on n x n tokens, free of main effects, of unit total power.

    Attributes:
        values: (k, c, n, n); rows and columns of each function average 0 (where pairs are missing, nearly: the fit is
            iterative), and Σ_c Σ_ab F² = 1 for each direction.
        known: (n, n) which pairs were given; F is 0 on the others.
        share: one for each mode given, those without an interaction too (0): the part of the variance over inputs that
            the interaction is; the rest are main effects.
    """

    values: Floats
    known: Flags
    share: Floats

    @property
    def n_tokens(self) -> int:
        """How many tokens there are."""
        return self.values.shape[-1]

    @cached_property
    def kernels(self) -> Floats:
        """(2k, n, n): Σ_c F Fᵀ and Σ_c Fᵀ F of each direction, what tokens have in common as a and as b."""
        left = np.einsum("kcab,kcdb->kad", self.values, self.values, optimize=True)
        right = np.einsum("kcba,kcbd->kad", self.values, self.values, optimize=True)
        return np.concatenate([left, right])

    @property
    def kernel(self) -> Floats:
        """(n, n): the mean of :attr:`kernels`, of unit trace."""
        return np.asarray(self.kernels.mean(axis=0))

    def shuffled(self, rng: np.random.Generator) -> Interactions:
        """The same values on other pairs: no structure between tokens is left, and every marginal is."""
        where = np.flatnonzero(self.known)
        values = self.values.reshape(*self.values.shape[:2], -1).copy()
        values[..., where] = values[..., rng.permutation(where)]
        values = _without_main_effects(values.reshape(self.values.shape), self.known)
        return Interactions(_unit_power(values), self.known, self.share)

    def share_of(self, groups: NDArray[np.int64]) -> float:
        """Share of Σ F² (mean over directions) that means over the groups of pairs account for.

        Args:
            groups: (n, n) group of every pair, -1 for none.
        """
        used = self.known & (groups >= 0)
        sizes = np.bincount(groups[used])
        flat = self.values[..., used].reshape(-1, used.sum())
        order = np.argsort(groups[used], kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[sizes > 0]
        sums = np.add.reduceat(flat[:, order], starts, axis=1)
        return float((sums**2 / sizes[sizes > 0]).sum() / (flat**2).sum())


def interactions_of(modes: Any, n_tokens: int, pairs: ArrayLike | None) -> Interactions:
    """Turn modes into interactions; refuses what has none. Arguments as ``discover_basis``."""
    values = _components(modes)
    grid, known = _on_grid(values, n_tokens, pairs)
    bad = ~np.isfinite(grid[..., known]).all(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f"discover_basis: mode {np.flatnonzero(bad)[0]} is not finite everywhere; drop the mode, or leave the bad "
            "inputs out and pass the others as pairs"
        )
    interaction = _without_main_effects(grid, known)
    total = _power(np.where(known, grid - grid[..., known].mean(axis=-1)[..., None, None], 0.0))
    power = _power(interaction)
    largest = np.abs(grid[..., known]).max(axis=(1, 2))
    flat = power <= _ROUNDING * total + (_SPACING * largest) ** 2 * known.sum() * grid.shape[1]
    if flat.all():
        raise ValueError(
            "discover_basis: every mode is constant or a sum g(a) + h(b); there is no interaction of the two tokens "
            "to read a law from"
        )
    kept = np.stack([principal(functions, _COMPONENTS) for functions in interaction[~flat]])
    share = np.divide(power, total, out=np.zeros_like(power), where=~flat)
    return Interactions(_unit_power(kept), known, share)


def _components(modes: Any) -> Floats:
    """(k, c, N): the components of the response if there is one, else the energy, or the array itself."""
    source = getattr(modes, "response", getattr(modes, "energy", modes))
    if hasattr(source, "detach"):  # a tensor, on any device and of any floating type
        source = source.detach().cpu().double()
    array = np.asarray(source, dtype=np.float64)
    if array.ndim == 1:
        array = array[None]
    if array.ndim == 2:
        return array[:, None, :]
    if array.ndim == 3:
        return np.moveaxis(array, 2, 1)
    raise ValueError(f"discover_basis: modes of shape {array.shape}; need (k, N), or (k, N, d) for responses")


def _on_grid(values: Floats, n: int, pairs: ArrayLike | None) -> tuple[Floats, Flags]:
    if n < _LEAST_TOKENS:
        raise ValueError(f"discover_basis: n_tokens = {n}; fewer than {_LEAST_TOKENS} tokens show no structure")
    if 0 in values.shape:
        raise ValueError("discover_basis: there are no modes, or no inputs")
    if pairs is None:
        if values.shape[2] != n * n:
            raise ValueError(
                f"discover_basis: modes have {values.shape[2]} inputs, not n_tokens² = {n * n}. If inputs are not the "
                "whole square, a-major, pass them as pairs with tokens 0 … n_tokens-1"
            )
        return values.reshape(*values.shape[:2], n, n), np.ones((n, n), dtype=bool)
    where = np.asarray(pairs)
    if where.shape != (values.shape[2], 2) or not np.issubdtype(where.dtype, np.integer):
        raise ValueError(
            f"discover_basis: pairs must be integers of shape ({values.shape[2]}, 2), not {where.dtype} of shape "
            f"{where.shape}"
        )
    if where.min() < 0 or where.max() >= n:
        raise ValueError(f"discover_basis: pairs have tokens {where.min()} … {where.max()}; need 0 … {n - 1}")
    known = np.zeros((n, n), dtype=bool)
    known[where[:, 0], where[:, 1]] = True
    if known.sum() < len(where):
        raise ValueError("discover_basis: a pair comes twice; pass each once")
    if (known.sum(0) < 2).any() or (known.sum(1) < 2).any():
        lonely = int(np.flatnonzero((known.sum(0) < 2) | (known.sum(1) < 2))[0])
        raise ValueError(
            f"discover_basis: token {lonely} is in fewer than two pairs on one side; leave it out and number the "
            "others 0 … n_tokens-1"
        )
    grid = np.zeros((*values.shape[:2], n, n))
    grid[..., where[:, 0], where[:, 1]] = values
    return grid, known


def _without_main_effects(grid: Floats, known: Flags) -> Floats:
    """Subtract the least-squares fit m + g(a) + h(b) on the known pairs; 0 elsewhere."""
    rest = np.where(known, grid, 0.0)
    rows, columns = known.sum(1)[:, None], known.sum(0)[None, :]
    for _ in range(1 if known.all() else _ADDITIVE_SWEEPS):
        rest = np.where(known, rest - rest.sum(-1, keepdims=True) / rows, 0.0)
        rest = np.where(known, rest - rest.sum(-2, keepdims=True) / columns, 0.0)
    return rest


def principal(functions: Floats, most: int) -> Floats:
    """Rotate (c, n, n) functions to their principal components and keep the first ``most``; fewer stay as they are."""
    flat = functions.reshape(len(functions), -1)
    if len(flat) <= most:
        return functions
    axes = np.linalg.eigh(flat @ flat.T)[1][:, ::-1][:, :most]
    return np.asarray((axes.T @ flat).reshape(most, *functions.shape[1:]))


def _power(values: Floats) -> Floats:
    return np.asarray((values**2).sum(axis=(1, 2, 3)))


def _unit_power(values: Floats) -> Floats:
    return np.asarray(values / np.sqrt(_power(values))[:, None, None, None])
