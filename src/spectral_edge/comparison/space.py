"""Where directions live: a model's parameters at their present values, and the window that the edge came from."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset, Shard
from spectral_edge.spectrum import InnerProducts, SpectralEdge

__all__ = ["CannotDrawError", "DirectionSpace", "RandomStream"]


# Entries below which starting threads costs more than drawing.
_WORTH_THREADS = 1 << 20


# Entries turned into float64 at once: they stay in a core's cache.
_PIECE = 1 << 16


class CannotDrawError(ValueError):
    """A null has no draws for this direction, in these parameters; the message says why."""


@dataclass(frozen=True)
class RandomStream:
    """The random numbers of one draw; they depend on (seed, null, row) only, so rows can be drawn in any order.

    Attributes:
        seed: a nonnegative integer.
        null: name of the null.
        row: number of the draw, from 0.
    """

    seed: int
    null: str
    row: int

    def generator(self, part: int = 0) -> np.random.Generator:
        """A generator for one part of the draw, such as one tensor of the parameters."""
        key = (zlib.crc32(self.null.encode()), self.row, part)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


@dataclass(frozen=True)
class DirectionSpace:
    """A parameter subset and, where there is one, the edge whose directions are tested.

    Attributes:
        parameters: layout of the directions.
        edge: of the window; ``None`` if directions came as a tensor.
    """

    parameters: ParameterSubset
    edge: SpectralEdge | None = None

    def inner(self, left: Tensor, right: Tensor) -> float:
        """⟨left, right⟩ in float64, summed over processes where parameters are sharded."""
        if self.parameters.sharded:
            return float(InnerProducts(self.parameters.shards)(left[None], right[None]))
        pieces = zip(left.split(_PIECE), right.split(_PIECE), strict=True)
        return sum(float(one.double() @ other.double()) for one, other in pieces)

    def gram(self, rows: Tensor) -> np.ndarray:
        """⟨row_i, row_j⟩ in float64, (k, k)."""
        return np.array([[self.inner(left, right) for right in rows] for left in rows])

    def mixture(self, rows: Tensor, target: np.ndarray) -> np.ndarray:
        """The matrix (m, m) that gives rows (m, D) the Gram matrix ``target``: T^½ G^-½, which moves them least.

        Rows that are at random under rotations of the space stay so.
        """
        return _power(target, 0.5) @ _power(self.gram(rows), -0.5)

    def mixed(self, rows: Tensor, mixture: np.ndarray) -> Tensor:
        """``mixture`` @ rows, in place."""
        coefficients = torch.from_numpy(mixture).to(rows)
        for start in range(0, rows.shape[1], _PIECE):
            rows[:, start : start + _PIECE] = coefficients @ rows[:, start : start + _PIECE]
        return rows

    def normalised(self, row: Tensor) -> Tensor:
        """``row`` divided by its norm, in place."""
        return row.div_(self.inner(row, row) ** 0.5)

    def along_weights(self, row: Tensor) -> float:
        """⟨row, θ⟩, θ the present values of the parameters; no copy of θ is made, but of shards."""
        if self.parameters.sharded:
            return self.inner(row, self.parameters.flatten().float().to(row.device))
        return sum(
            float(row[block.columns].double() @ block.values.to(row.device).double())
            for block in self.parameters.weights()
        )

    def add_weights(self, row: Tensor, factor: float) -> Tensor:
        """``row`` plus ``factor`` times θ, in place."""
        for block in self.parameters.weights():
            row[block.columns].add_(block.values.cpu().to(row.dtype), alpha=factor)
        return row

    def weight_norm(self) -> float:
        """||θ||.

        Raises:
            CannotDrawError: it is zero or not finite.
        """
        if self.parameters.sharded:
            theta = self.parameters.flatten().float().cpu()
            square = self.inner(theta, theta)
        else:
            square = sum(float(block.values.double().square().sum()) for block in self.parameters.weights())
        if square == 0:
            raise CannotDrawError("the parameters are all zero, so no direction has an angle to them")
        if not math.isfinite(square):
            raise CannotDrawError("the parameters have values that are not finite; restore weights from before that")
        return square**0.5

    def isotropic(self, stream: RandomStream) -> Tensor:
        """A unit vector (D,) float32, uniform on the sphere; the same numbers however the parameters are sharded."""
        row, shards = torch.empty(self.parameters.dim, dtype=torch.float32), self.parameters.shards
        self.each_tensor(row, lambda number, piece: _fill_normal(piece, shards[number], stream.generator(number)))
        return self.normalised(row)

    def each_tensor(self, row: Tensor, work: Callable[[int, Tensor], None]) -> None:
        """Call ``work(number, piece)`` for the part of ``row`` in each tensor of the parameters, on all cores.

        NumPy's generators let go of the interpreter while they draw or shuffle; each tensor has one of its own.
        """
        pieces = row.split([shard.dim for shard in self.parameters.shards])
        if len(row) < _WORTH_THREADS:
            for number, piece in enumerate(pieces):
                work(number, piece)
            return
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(work, range(len(pieces)), pieces))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric matrix whose eigenvalues are positive, or 0 up to rounding where the power is."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.maximum(values, 0) ** exponent @ vectors.T


def _fill_normal(piece: Tensor, shard: Shard, generator: np.random.Generator) -> None:
    if shard.shape == shard.full_shape:
        generator.standard_normal(dtype=np.float32, out=piece.numpy())
        return
    whole = generator.standard_normal(int(np.prod(shard.full_shape)), dtype=np.float32).reshape(shard.full_shape)
    held = tuple(slice(first, first + n) for first, n in zip(shard.offset, shard.shape, strict=True))
    piece.copy_(torch.from_numpy(np.ascontiguousarray(whole[held])).flatten())
