"""Discover the basis: functions of two tokens in, their characters, group law and standing among known bases out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.discovery.candidates import Candidate, rank_candidates
from spectral_edge.discovery.circles import Circles, Scree, find_circles, scree_of
from spectral_edge.discovery.interactions import Floats, Interactions, interactions_of
from spectral_edge.discovery.laws import LEVEL, Law, find_law

__all__ = ["DiscoveredBasis", "discover_basis"]

# A known grouping is an answer only if it accounts for this much more of the interactions than under other names.
_LEAST_EXCESS = 0.05
_LEAST_DRAWS = 19


@dataclass(frozen=True, eq=False, repr=False)
class DiscoveredBasis:
    """What functions of two tokens say about their tokens; made by :func:`discover_basis`.

    Attributes:
        answer: the name of the best known grouping, "none of these" if there is structure that no known grouping
            accounts for, or "no structure".
        pvalue: of the structure: the roundest circle against those of random spaces; 1 if fewer than two dimensions
            stand out of the scree, where nothing can be tested.
        circles: functions of modulus one on the tokens, strongest of the significant ones first.
        law: the group and how the modes depend on it, or None if no group was found.
        candidates: known groupings, best first.
        scree: the spectrum of the kernel that tokens draw, beside that of shuffled pairs.
        evenness: Var over mean² of the space's power on each token; 0 if the tokens are an orbit of a group whose
            representations the space holds entire. Normalisation of token vectors lowers it, too: it is no evidence.
        commutator: mean ||AB - BA|| / (√2 ||AB||) of the kernels of directions and sides within the space; 0 if one
            abelian group fits them all.
        interaction_share: (k,) the part of each mode's variance that depends on both tokens together.
    """

    answer: str
    pvalue: float
    circles: Circles
    law: Law | None
    candidates: list[Candidate]
    scree: Scree = field(repr=False)
    evenness: float
    commutator: float
    interaction_share: Floats

    @property
    def characters(self) -> NDArray[np.complex128]:
        """(m, n_tokens) the functions of modulus one that were found, strongest first; phases are arbitrary.

        They are characters where the group is abelian. A space of representations of dimension above one holds other
        functions of modulus one, and where the law is not abelian that is what these are.
        """
        return self.circles.characters

    @property
    def angles(self) -> Floats:
        """(m, n_tokens) where each character puts the tokens on its circle, in radians."""
        return np.asarray(np.angle(self.characters))

    @property
    def multiplicity(self) -> NDArray[np.int64]:
        """(m,) eigenvalues that belong to a character: 2, or 1 for one of order two, which is real."""
        return np.where(self.circles.real, 1, 2)

    @property
    def cyclic_order(self) -> NDArray[np.int64] | None:
        """(n_tokens,) tokens in the order of a cycle; None if the group is not cyclic.

        Of all such orders, which differ by an automorphism, the one along which the strongest character that visits all
        n places turns once.
        """
        if self.law is None or self.law.group.cycles is None or len(self.law.group.cycles) != 1:
            return None
        group, n = self.law.group, len(self.law.group.table)
        powers = group.cyclic_order(int(group.orders.argmax()))
        for frequency in _frequencies(self.characters, powers):
            if np.gcd(frequency, n) == 1:
                return np.asarray(powers[np.arange(n) * pow(int(frequency), -1, n) % n])
        return powers

    @property
    def frequencies(self) -> NDArray[np.int64] | None:
        """(m,) how often each character turns along :attr:`cyclic_order`; None if there is none."""
        order = self.cyclic_order
        if order is None:
            return None
        frequency = _frequencies(self.characters, order)
        return np.minimum(frequency, len(order) - frequency)

    def __repr__(self) -> str:
        law = "none" if self.law is None else f"{self.law.group.name}, {self.law.kind}"
        return (
            f"DiscoveredBasis(answer={self.answer!r}, p={self.pvalue:.3f}, characters={len(self.characters)}, "
            f"law={law}, candidates={len(self.candidates)})"
        )


def _frequencies(characters: NDArray[np.complex128], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each character turns along a cycle, mod its length."""
    return np.asarray(np.abs(np.fft.fft(characters[:, order], axis=1)).argmax(axis=1))


def discover_basis(
    modes: Any,
    n_tokens: int,
    *,
    pairs: ArrayLike | None = None,
    residues: ArrayLike | None = None,
    null_draws: int = 100,
    seed: int = 0,
) -> DiscoveredBasis:
    """Find the basis in which functions f_k(a, b) of two tokens are simple, and the group law that goes with it.

    F_k, what is left of f_k after its main effects, is read as an operator on functions of a token. If f_k is a
    function of a ∘ b in an abelian group, or a sum of products of a few of its characters, the leading eigenvectors of
    the kernel Σ F Fᵀ + Fᵀ F span these characters. They are separated by what a character has: modulus one. Products
    of tokens' points on the circles give an abelian law; classes of pairs that look alike give any other. Nothing is
    told of the tokens. Known bases are ranked afterwards and beside it. A function that uses all characters alike, such
    as a spike, has a flat spectrum, and nothing is found. Source: ours; see docs/discovery.md.

    Args:
        modes: (k, n²) functions, a-major, such as ``modes.energy``; (k, n², d) responses, of which every component is
            a function; or what :func:`~spectral_edge.modes.functional_modes` returns, whose response is used.
        n_tokens: n, the number of tokens, at least 5.
        pairs: (N, 2) tokens of the inputs, if these are not the whole square. Missing pairs count as no interaction.
        residues: (n,) what number each token is mod the modulus, for the known groupings: 0 … n-1 if left out,
            with modulus the largest + 1 either way.
        null_draws: random spaces, and random renamings of the tokens; at least 19.
        seed: of both, and of shuffles.

    Returns:
        The discovered basis. p-values are (b + 1)/(n + 1).

    Raises:
        ValueError: shapes disagree, a mode is not finite, no mode depends on both tokens together (a constant is such
            a mode), a token has fewer than two partners, or there are too few null draws.

    Cost: p = 97 with eight responses takes a few seconds; memory k · 24 · n² doubles and a few n³ floats.

    >>> a, b = np.indices((13, 13))
    >>> order = np.random.default_rng(0).permutation(13)  # which token is which number
    >>> noise = 0.1 * np.random.default_rng(1).standard_normal((13, 13))
    >>> f = np.cos(2 * np.pi * (order[a] + order[b]) / 13) + noise
    >>> found = discover_basis(f.reshape(1, -1), 13)
    >>> found.law.group.name, found.law.kind, found.answer
    ('Z_13', 'sum', 'none of these')
    """
    if null_draws < _LEAST_DRAWS:
        raise ValueError(f"discover_basis: null_draws = {null_draws} cannot give p <= {LEVEL}; need {_LEAST_DRAWS}")
    interactions = interactions_of(modes, n_tokens, pairs)
    rng = np.random.default_rng(seed)
    scree = scree_of(interactions, rng)
    circles = find_circles(scree, interactions.kernel, null_draws, rng)
    pvalue = float(min(circles.pvalue, default=1.0))
    circles = circles.select(circles.pvalue <= LEVEL)
    structured = pvalue <= LEVEL
    law = find_law(interactions, circles, scree.functions, null_draws, rng) if structured else None
    classes = None if law is None else law.classes
    candidates, law_share = rank_candidates(interactions, residues, classes, null_draws, rng)
    return DiscoveredBasis(
        _answer(structured, candidates, law_share),
        pvalue,
        _strongest_first(circles),
        law,
        candidates,
        scree,
        _unevenness(scree.functions),
        _commutator(interactions, scree.functions),
        interactions.share,
    )


def _strongest_first(circles: Circles) -> Circles:
    """Drop circles that rounder ones mostly span: degenerate spaces hold a continuum of them."""
    basis, kept = np.empty((0, circles.characters.shape[1])), []
    for index, z in enumerate(circles.characters):
        parts = np.stack([z.real, z.imag])
        rest = parts - parts @ basis.T @ basis
        if (rest**2).sum() > 0.5 * (parts**2).sum():
            kept.append(index)
            _left, sizes, axes = np.linalg.svd(rest, full_matrices=False)
            basis = np.concatenate([basis, axes[sizes > 0.1 * np.linalg.norm(parts)]])
    kept.sort(key=lambda index: -circles.share[index])
    return circles.select(np.array(kept, dtype=np.int64))


def _answer(structured: bool, candidates: list[Candidate], law_share: float) -> str:
    if not structured:
        return "no structure"
    # A grouping may be related to the law without being it, and is then far behind it.
    known = (
        candidate.grouping
        for candidate in candidates
        if candidate.pvalue_adjusted <= LEVEL
        and candidate.share - candidate.null_mean >= _LEAST_EXCESS
        and candidate.share >= 0.5 * law_share
    )
    return next(known, "none of these")


def _unevenness(space: Floats) -> float:
    if space.shape[1] == 0:
        return float("nan")
    power = (space**2).sum(axis=1)
    return float(power.var() / power.mean() ** 2)


def _commutator(interactions: Interactions, space: Floats) -> float:
    inside = space.T @ interactions.kernels @ space
    sizes = []
    for i in range(len(inside)):
        for j in range(i):
            product = inside[i] @ inside[j]
            norm = np.linalg.norm(product)
            if norm > 0:
                sizes.append(np.linalg.norm(product - product.T) / (np.sqrt(2) * norm))
    return float(np.mean(sizes)) if sizes else float("nan")
