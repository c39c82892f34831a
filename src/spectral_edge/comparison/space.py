"""Where directions live: a model's parameters at their present values, and the window that the edge came from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset, Shard
from spectral_edge.spectrum import InnerProducts, SpectralEdge

__all__ = ["CannotDrawError", "DirectionSpace", "RandomStream"]


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

    @cached_property
    def _inner(self) -> InnerProducts:
        return InnerProducts(self.parameters.shards if self.parameters.sharded else ())

    def inner(self, left: Tensor, right: Tensor) -> float:
        """⟨left, right⟩ in float64, summed over processes where parameters are sharded."""
        return float(self._inner(left[None], right[None]))

    def normalised(self, row: Tensor) -> Tensor:
        """``row`` divided by its norm, in place."""
        return row.div_(self.inner(row, row) ** 0.5)

    def weights(self) -> Tensor:
        """θ, the present values of the parameters as one new float32 vector (D,)."""
        return self.parameters.flatten().float().cpu()

    def cosine_to_weights(self, direction: Tensor) -> float:
        """cos(direction, θ).

        Raises:
            CannotDrawError: θ is zero.
        """
        theta = self.weights()
        norm = self.inner(theta, theta) ** 0.5
        if norm == 0:
            raise CannotDrawError("the parameters are all zero, so no direction has an angle to them")
        return self.inner(direction, theta) / (norm * self.inner(direction, direction) ** 0.5)

    def isotropic(self, stream: RandomStream) -> Tensor:
        """A unit vector (D,) float32, uniform on the sphere; the same numbers however the parameters are sharded."""
        row = torch.empty(self.parameters.dim)
        pieces = row.split([shard.dim for shard in self.parameters.shards])
        for number, (shard, piece) in enumerate(zip(self.parameters.shards, pieces, strict=True)):
            _fill_normal(piece, shard, stream.generator(number))
        return self.normalised(row)


def _fill_normal(piece: Tensor, shard: Shard, generator: np.random.Generator) -> None:
    if shard.shape == shard.full_shape:
        generator.standard_normal(dtype=np.float32, out=piece.numpy())
        return
    whole = generator.standard_normal(int(np.prod(shard.full_shape)), dtype=np.float32).reshape(shard.full_shape)
    held = tuple(slice(first, first + n) for first, n in zip(shard.offset, shard.shape, strict=True))
    piece.copy_(torch.from_numpy(np.ascontiguousarray(whole[held])).flatten())
