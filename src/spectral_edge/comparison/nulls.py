"""What a direction is held against: random directions, each kind matched to it in something.

A null of your own is a small class: a name, whether its draws depend on the tested direction, and ``sampler``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor

from spectral_edge.comparison.space import CannotDrawError, DirectionSpace, RandomStream
from spectral_edge.modes import all_finite
from spectral_edge.spectrum import SpectralEdge

__all__ = [
    "NULLS",
    "PERMUTED",
    "Blocks",
    "DirectionNull",
    "Isotropic",
    "OtherPhases",
    "Sampler",
    "Span",
    "Weights",
    "direction_null",
]

PERMUTED = "inputs"
"""Name of the null of permuted labels, which draws no directions."""

Sampler = Callable[[RandomStream], Tensor]

# Beyond this cosine what is left to randomness is rounding and a few per cent of the direction.
_PARALLEL = 0.99

# Lengths of unit vectors in half precision are off by less.
_ROUNDED = 0.01


class DirectionNull(Protocol):
    """A way to draw directions.

    A null of finitely many draws also has ``available``, their number. One that can be had for statistics of a set has
    ``as_set(space, rows, tested)``, which gives m draws (m, D) the inner products of the tested directions, in place if
    it likes. Where draws are α·n + β·θ of noise n that does not depend on the tested direction, ``noise(space)`` and
    ``combination(space, direction)`` give their parts, as in :class:`Weights`, and n serves all tested directions.
    Directions of an edge are orthonormal and independent draws are not; a statistic of spread would take that
    for an effect. Where ``as_set`` is a linear map of the rows, ``mixture(space, rows, tested)`` gives its (m, m)
    matrix: responses of a set are then mixed from those of its rows, and none is computed twice.
    """

    @property
    def name(self) -> str:
        """How the table calls it."""
        ...

    @property
    def per_direction(self) -> bool:
        """Whether draws depend on the tested direction; if not, one set of draws serves all of them."""
        ...

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Return the function that turns a stream of random numbers into one direction (D,) of unit length.

        Args:
            space: the parameters, their values and the edge.
            direction: the tested direction (D,), in the type and place of the parameters; ``None`` where draws do not
                depend on it.

        Raises:
            CannotDrawError: there are no such draws; says why.
        """
        ...


@dataclass(frozen=True)
class _Null:
    name: ClassVar[str]
    per_direction: ClassVar[bool] = False


class _Rotated(_Null):
    def mixture(self, space: DirectionSpace, rows: Tensor, tested: Tensor) -> np.ndarray:
        """(m, m) by which rows get the inner products of the tested directions; rotations do not change their law."""
        return space.mixture(rows, space.gram(tested))

    def as_set(self, space: DirectionSpace, rows: Tensor, tested: Tensor) -> Tensor:
        """Rows with the inner products of the tested directions."""
        return space.mixed(rows, self.mixture(space, rows, tested))


@dataclass(frozen=True)
class Isotropic(_Rotated):
    """Would *any* direction do it? Uniform on the unit sphere of the parameters.

    The weakest null: a trained direction has a history, and under weight decay points along the weights.

    Args:
        available: draws that there are; as many as the comparison asks for if left out. Statistics of sets of m
            directions then have available // m draws, made of the same directions as those of single ones.
    """

    available: int | None = None

    name: ClassVar[str] = "isotropic"

    def __post_init__(self) -> None:
        if self.available is not None and self.available < 2:
            raise ValueError(f"Isotropic: available = {self.available}; an effect needs the spread of at least 2 draws")

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Draws need nothing but the parameters' layout."""
        return space.isotropic


@dataclass(frozen=True)
class Span(_Rotated):
    """Is it the *leading* direction, or any the weights moved in? Uniform on the unit sphere of the window's span.

    The span is that of the identifiable right singular vectors of the window; each has the same weight in a draw,
    whatever its singular value.

    Args:
        edge: of the window, where the tested directions come as a tensor; if left out, the tested edge.
    """

    edge: SpectralEdge | None = None

    name: ClassVar[str] = "span"

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Needs an edge of at least two identifiable directions."""
        edge = space.edge if self.edge is None else self.edge
        if edge is None:
            raise CannotDrawError(
                "it needs the window of updates; pass a SpectralEdge in place of a tensor, or Span(edge)"
            )
        edge.check_layout(space.parameters.names)
        if not edge.plain:
            raise CannotDrawError(
                "directions of an edge in another metric are not orthogonal, so that mixtures of them are not drawn "
                "evenly; pass Span(edge) with the edge of the plain metric"
            )
        if not space.parameters.sharded and edge.dim not in (None, space.parameters.dim):
            raise CannotDrawError(
                f"the window's updates have {edge.dim} entries, these parameters {space.parameters.dim}; pass the edge "
                "of these parameters"
            )
        rank = edge.identifiable
        if rank < 2:
            raise CannotDrawError("the window has one identifiable direction, so its span has no other")

        def draw(stream: RandomStream) -> Tensor:
            coefficients = stream.generator().standard_normal(rank)
            return edge.combinations(coefficients[None] / np.linalg.norm(coefficients))[0].float().cpu()

        return draw


@dataclass(frozen=True)
class Weights(_Null):
    """Is it more than *shrinking weights*? Random, with the tested direction's own signed cosine to θ.

    v = cos·θ/||θ|| + sin·r, r uniform on the unit sphere orthogonal to θ. Under weight decay weights shrink along
    themselves, so an edge points largely along θ, and θ as a direction is as structured as the edge (paper's models).

    A draw is α·n + β·θ of an isotropic n. Responses are linear, so one response to n serves all tested directions.
    """

    name: ClassVar[str] = "weights"
    per_direction: ClassVar[bool] = True

    def noise(self, space: DirectionSpace) -> Sampler:
        """n, the part of a draw that does not depend on the tested direction."""
        return space.isotropic

    def combination(self, space: DirectionSpace, direction: Tensor) -> Callable[[Tensor], tuple[float, float]]:
        """The function that turns n into (α, β); refused where θ is zero or |cos| > 0.99: nothing is left to draw."""
        norm = space.weight_norm()
        cosine = space.along_weights(direction) / (norm * space.inner(direction, direction) ** 0.5)
        if abs(cosine) > _PARALLEL:
            raise CannotDrawError(
                f"its cosine to the weights is {cosine:.4f}, beyond {_PARALLEL}: too little of it is left to vary"
            )

        def coefficients(row: Tensor) -> tuple[float, float]:
            along = space.along_weights(row) / norm
            across = (space.inner(row, row) - along**2) ** 0.5
            alpha = (1 - cosine**2) ** 0.5 / across
            return alpha, (cosine - alpha * along) / norm

        return coefficients

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Refused as :meth:`combination`."""
        assert direction is not None
        noise, combination = self.noise(space), self.combination(space, direction)

        def draw(stream: RandomStream) -> Tensor:
            row = noise(stream)
            alpha, beta = combination(row)
            return space.add_weights(row.mul_(alpha), beta)

        return draw

    def as_set(self, space: DirectionSpace, rows: Tensor, tested: Tensor) -> Tensor:
        """Rows with the inner products of the tested directions and their cosines to θ."""
        norm = space.weight_norm()
        cosines = np.array([space.along_weights(row) / norm for row in tested])
        for row, cosine in zip(rows, cosines, strict=True):
            space.add_weights(row, -cosine / norm)
        space.mixed(rows, space.mixture(rows, space.gram(tested) - np.outer(cosines, cosines)))
        for row, cosine in zip(rows, cosines, strict=True):
            space.add_weights(row, cosine / norm)
        return rows


@dataclass(frozen=True)
class Blocks(_Null):
    """Is it *where* the entries are, or how large they are in each tensor? The entries permuted inside each tensor.

    Keeps the norm of every tensor's part and the distribution of its entries.
    """

    name: ClassVar[str] = "blocks"
    per_direction: ClassVar[bool] = True

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Refused where a tensor is sharded: its entries are not all here."""
        assert direction is not None
        sharded = [shard.name for shard in space.parameters.shards if shard.mesh is not None]
        if sharded:
            raise CannotDrawError(f"{sharded[0]} is sharded over processes, so its entries cannot be exchanged here")
        own = direction

        def draw(stream: RandomStream) -> Tensor:
            row = own.float().cpu().clone()
            space.each_tensor(row, lambda number, piece: stream.generator(number).shuffle(piece.numpy()))
            return space.normalised(row)

        return draw


@dataclass(frozen=True)
class OtherPhases(_Null):
    """Is it *this* edge, or any edge of the run? Edge directions of other windows, applied to the present weights.

    Args:
        edges: of windows that do not overlap the tested one, in the same parameters.
        k: directions of each; all of them together are the draws, so their number is fixed.

    Raises:
        ValueError: there are no edges, or one has fewer identifiable directions.
    """

    edges: Sequence[SpectralEdge]
    k: int = 1

    name: ClassVar[str] = "other_phases"

    def __post_init__(self) -> None:
        if not self.edges or self.k < 1:
            raise ValueError(f"OtherPhases: {len(self.edges)} edges and k = {self.k}; at least one of each is needed")
        for number, edge in enumerate(self.edges):
            if edge.identifiable < self.k:
                raise ValueError(
                    f"OtherPhases: edges[{number}] has {edge.identifiable} identifiable directions, below k = {self.k}"
                )

    @property
    def available(self) -> int:
        """Number of draws."""
        return self.k * len(self.edges)

    def mixture(self, space: DirectionSpace, rows: Tensor, tested: Tensor) -> np.ndarray:
        """The identity: the directions of one edge, as they are."""
        return np.eye(len(rows))

    def as_set(self, space: DirectionSpace, rows: Tensor, tested: Tensor) -> Tensor:
        """The directions of one edge, as they are."""
        return rows

    def sampler(self, space: DirectionSpace, direction: Tensor | None) -> Sampler:
        """Refused where the edges are of other parameters, or of these in another order."""
        first = self.edges[0].directions(1)
        if first.shape[1] != space.parameters.dim:
            raise CannotDrawError(
                f"its edges have {first.shape[1]} parameters, the tested directions {space.parameters.dim}"
            )

        for edge in self.edges:
            try:
                edge.check_layout(space.parameters.names)
            except ValueError as problem:
                raise CannotDrawError(str(problem)) from None

        def draw(stream: RandomStream) -> Tensor:
            edge, number = divmod(stream.row, self.k)
            one = np.zeros((1, self.k))
            one[0, number] = 1
            return self.edges[edge].combinations(one)[0].float().cpu()

        return draw


NULLS: tuple[DirectionNull, ...] = (Isotropic(), Span(), Weights(), Blocks())
"""Those that need no arguments, in the order of the table; :class:`OtherPhases` is made with its edges."""


def direction_null(null: str | DirectionNull) -> DirectionNull:
    """Return the null of a name; a null itself is returned as it is.

    Raises:
        ValueError: there is none of this name.
    """
    named = {known.name: known for known in NULLS}
    if not isinstance(null, str):
        if isinstance(null, type) or not callable(getattr(null, "sampler", None)):
            raise ValueError(f"null {null!r} has no sampler; pass a name, or an object such as se.OtherPhases(edges)")
        if null.name == PERMUTED:
            raise ValueError(f"a null of your own is called {PERMUTED!r}, the name of permuted labels; rename it")
        return null
    if null == PERMUTED:
        raise ValueError(f"null = {null!r} permutes labels and draws no directions; ask compare for it")
    if null not in named:
        raise ValueError(
            f"null = {null!r} is unknown; choose {', '.join(named)}, inputs, or pass one such as se.OtherPhases(edges)"
        )
    return named[null]


def why_no_sets(null: DirectionNull, k: int, edge: SpectralEdge | None) -> str | None:
    """Why there are no draws of sets of k directions, for a tested edge; ``None`` if there are."""
    if not hasattr(null, "as_set"):
        return "it has no sets of directions with the inner products of the tested ones; leave out statistics of a set"
    if isinstance(null, OtherPhases) and null.k != k:
        return f"it has sets of {null.k} directions and sets of {k} are asked for; use se.OtherPhases(edges, k={k})"
    window = (null.edge or edge) if isinstance(null, Span) else None
    if window is not None and window.identifiable < k:
        return f"the window has {window.identifiable} identifiable directions and sets of {k} are asked for"
    return None


def available_draws(null: DirectionNull) -> int | None:
    """How many draws a null has; ``None`` if as many as wanted."""
    return getattr(null, "available", None)


def check_unit(row: Tensor, space: DirectionSpace, null: str, number: int) -> Tensor:
    """Return a draw of anyone's null, checked.

    Raises:
        ValueError: it has another shape, is not finite, or is not of unit length.
    """
    dim = space.parameters.dim
    if not isinstance(row, Tensor) or row.shape != (dim,) or not all_finite(row):
        found = tuple(row.shape) if isinstance(row, Tensor) else type(row).__name__
        raise ValueError(f"null {null!r}: draw {number} is not a finite vector of {dim} entries: {found}")
    length = space.inner(row, row) ** 0.5
    if abs(length - 1) > _ROUNDED:
        raise ValueError(
            f"null {null!r}: draw {number} has length {length:.6g}, not 1; divide it by its norm in the null's sampler"
        )
    return row
