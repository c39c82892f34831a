"""Characters in a space of functions on tokens: complex functions of modulus one, found by alternating projections."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spectral_edge.discovery.interactions import Floats, Interactions

__all__ = ["Circles", "Scree", "find_circles", "scree_of"]

Complexes = NDArray[np.complex128]

# Convergence is linear; after this many the dispersion of a character changes in the third digit.
_PROJECTIONS = 40
# Overlap |<z, z'>| above which two functions, or one and the conjugate of the other, count as the same.
_SAME = 0.5
_NULL_SHUFFLES = 10
# Eigenvalues that differ by less of the largest one are equal.
_EQUAL = 1e-10
_SPACE_AT_MOST = 1 / 3


@dataclass(frozen=True, eq=False)
class Scree:
    """The spectrum of the kernel of tokens beside that of shuffled pairs.

    Attributes:
        eigenvalues: (n - 1,) shares of the kernel's trace, largest first; the constant is left out.
        null_quantile95: (n - 1,) 95 % quantiles of the eigenvalues of the same rank after shuffling.
        functions: (n, r) orthonormal functions on tokens, those whose eigenvalues exceed the null, at most n/3.
    """

    eigenvalues: Floats
    null_quantile95: Floats
    functions: Floats


@dataclass(frozen=True, eq=False)
class Circles:
    """Functions z on tokens with |z| = 1 as nearly as the space allows, best first.

    Attributes:
        characters: (m, n) complex, mean |z|² = 1.
        dispersion: (m,) Var |z|² over tokens: 0 for a character.
        share: (m,) share of the kernel's trace that lies along Re z and Im z.
        pvalue: (m,) (b + 1)/(n + 1), b the random spaces of equal dimension whose best circle is at least as round.
    """

    characters: Complexes
    dispersion: Floats
    share: Floats
    pvalue: Floats

    @property
    def real(self) -> NDArray[np.bool_]:
        """(m,) whether a circle is only its two ends, +1 and -1 up to a phase: a function of order two."""
        return np.asarray(np.abs((self.characters**2).mean(axis=1)) > _SAME)

    def select(self, keep: NDArray[np.int64] | NDArray[np.bool_]) -> Circles:
        """Those that ``keep`` selects."""
        return Circles(self.characters[keep], self.dispersion[keep], self.share[keep], self.pvalue[keep])


def scree_of(interactions: Interactions, rng: np.random.Generator) -> Scree:
    """Decompose the kernel of tokens and keep what exceeds shuffled pairs, rank by rank (parallel analysis)."""
    values, functions = _spectrum(interactions.kernel)
    null = np.array([_spectrum(interactions.shuffled(rng).kernel)[0] for _ in range(_NULL_SHUFFLES)])
    limit = np.quantile(null, 0.95, axis=0)
    above = int(np.argmin(values > limit)) if (values <= limit).any() else len(values)
    kept = min(above, int(_SPACE_AT_MOST * interactions.n_tokens))
    return Scree(values, limit, _settled(values, functions)[:, :kept])


def _settled(values: Floats, functions: Floats) -> Floats:
    """The same eigenfunctions, but those of equal eigenvalues turned to where fixed vectors fall on their space.

    Rounding decides which of them an eigensolver returns, and circles are sought from pairs of them. Only data without
    noise have such spaces; where eigenvalues differ, nothing changes.
    """
    settled = functions.copy()
    bounds = np.flatnonzero(np.abs(np.diff(values)) > _EQUAL * values[0]) + 1
    for space in np.split(np.arange(len(values)), bounds):
        if len(space) > 1:
            part = functions[:, space]
            fixed = np.random.default_rng(0).standard_normal(part.shape)
            settled[:, space] = np.linalg.qr(part @ (part.T @ fixed))[0]
    return settled


def _spectrum(kernel: Floats) -> tuple[Floats, Floats]:
    values, functions = np.linalg.eigh(kernel)
    return values[::-1][:-1], functions[:, ::-1][:, :-1]


def find_circles(scree: Scree, kernel: Floats, null_draws: int, rng: np.random.Generator) -> Circles:
    """Find functions of modulus one in the space of ``scree``, and how round random spaces would make them.

    Project in turn on the space and on the functions of modulus one, from every pair of basis functions. A
    character of a group stays where it is. The null is a random rotation of token space that keeps the constant: it
    keeps the spectrum of every kernel and all that kernels say of each other, and takes away only what a token is.
    """
    space = scree.functions
    n, r = space.shape
    if r < 2:
        nothing = np.empty(0)
        return Circles(np.empty((0, n), complex), nothing, nothing, nothing)
    found, dispersion = _round_functions(space)
    null = np.array([_round_functions(_random_space(n, r, rng))[1][0] for _ in range(null_draws)])
    pvalue = ((null[None, :] <= dispersion[:, None]).sum(axis=1) + 1) / (null_draws + 1)
    along = np.einsum("ma,ab,mb->m", found.conj(), kernel, found).real / n / np.trace(kernel)
    circles = Circles(found, dispersion, along, pvalue)
    return replace(circles, share=along * np.where(circles.real, 1, 2))  # a complex function is two real ones


def _round_functions(space: Floats) -> tuple[Complexes, Floats]:
    n, r = space.shape
    i, j = np.triu_indices(r, 1)
    # Real and imaginary parts apart, in single precision: this loop is most of the time that a null takes.
    axes = space.astype(np.float32)
    parts = np.zeros((2, len(i) + r, n), dtype=np.float32)
    parts[0] = np.concatenate([axes[:, i].T, axes.T])
    parts[1, : len(i)] = axes[:, j].T
    for _ in range(_PROJECTIONS):
        parts /= np.maximum(np.hypot(parts[0], parts[1]), 1e-12)
        parts = (parts @ axes) @ axes.T
    z = parts[0].astype(np.float64) + 1j * parts[1]
    power = np.abs(z) ** 2
    mean = power.mean(axis=1, keepdims=True)
    alive = mean[:, 0] > 0
    z, dispersion = z[alive] / np.sqrt(mean[alive]), (power[alive] / mean[alive]).var(axis=1)
    order = np.argsort(dispersion)
    overlap = np.maximum(np.abs(z[order] @ z[order].conj().T), np.abs(z[order] @ z[order].T)) / n
    kept: list[int] = []
    for index in range(len(order)):
        if all(overlap[index, other] < _SAME for other in kept):
            kept.append(index)
    return z[order][kept], dispersion[order][kept]


def _random_space(n: int, r: int, rng: np.random.Generator) -> Floats:
    draws = rng.standard_normal((n, r))
    return np.asarray(np.linalg.qr(draws - draws.mean(axis=0))[0])
