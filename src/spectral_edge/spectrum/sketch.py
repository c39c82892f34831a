"""CountSketch of vectors that are named by parameters: m numbers in place of D, without tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from spectral_edge.parameters import Block, Shard, sum_over
from spectral_edge.spectrum.edge import SpectralEdge

__all__ = ["CountSketch", "noise_floor"]

# Elements hashed at a time: their int64 keys stay in a core's cache.
_BLOCK = 1 << 16
# Odd 64-bit multipliers as signed integers; multiplication wraps around.
_MIX = (-7046029254386353131, -4658895280553007687)


class CountSketch:
    """S: R^D -> R^m, (S x)_b = sum of s(i) x_i over the elements i with h(i) = b; linear, and E<Sx, Sy> = <x, y>.

    The bucket h and the sign s of an element are computed from its parameter's name and its row-major position in the
    *whole* parameter. So nothing is stored, processes that hold shards sum their sketches to that of the whole, and
    sketches of two runs with the same parameter names can be compared.

    Var <Sx, Sy> ≈ (|x|² |y|² + <x, y>²) / m: the noise floor of an inner product is |x| |y| / √m. Singular values of
    few sketched vectors have *relative* errors, near 1/√(2m) each where they are well separated, and gap ratios near
    1/√m: 1.6 % for m = 4096.

    Source: Charikar, Chen and Farach-Colton 2002; one row, inner products as in Weinberger et al. 2009.

    Args:
        size: m, a power of two, so that a bucket is a few bits of the hash.
        shards: the columns.
        device: where they are.

    Cost: about 8 ns an element on one core; memory m numbers.

    Raises:
        ValueError: m is not a power of two or below 2.

    >>> sketch = CountSketch(1024, [Shard("w", (3, 1000), (3, 1000), (0, 0))])
    >>> x = torch.randn(3000, generator=torch.Generator().manual_seed(1))
    >>> y = sketch([Block(0, 0, slice(0, 3000), x)])
    >>> y.shape, bool(abs(y.square().sum() / x.square().sum() - 1) < 0.1)
    (torch.Size([1024]), True)
    """

    def __init__(self, size: int, shards: Sequence[Shard], device: torch.device | str = "cpu") -> None:
        if size < 2 or size & (size - 1):
            raise ValueError(f"CountSketch: size = {size} is not a power of two; 4096 keeps gap ratios within 1.6 %")
        self.size = size
        self._shards = tuple(shards)
        self._device = device
        self._keys = [_key(shard.name) for shard in shards]
        self._meshes = list(dict.fromkeys(shard.mesh for shard in shards))

    def __call__(self, blocks: Iterable[Block]) -> Tensor:
        """Sketch one vector, summed over the processes that hold its shards, all of which must call.

        Args:
            blocks: together all entries; their numbers are those of the shards.

        Returns:
            (m,) float64.
        """
        return self.sum(self.held(blocks))

    def held(self, blocks: Iterable[Block]) -> list[Tensor]:
        """The sketches of what this process holds, one for each group of processes that it shares parameters with."""
        parts = {mesh: torch.zeros(self.size, dtype=torch.float64, device=self._device) for mesh in self._meshes}
        for number, start, _, values in blocks:
            shard = self._shards[number]
            for first in range(0, len(values), _BLOCK):
                piece = values[first : first + _BLOCK]
                index = shard.global_index(start + first, start + first + len(piece), self._device)
                bucket, sign = _hash(index, self._keys[number], self.size)
                parts[shard.mesh].index_add_(0, bucket, piece.double() * sign / shard.copies)
        return list(parts.values())

    def sum(self, held: list[Tensor]) -> Tensor:
        """The sketch of the whole, (m,), from what all processes hold; all must call."""
        return torch.stack(sum_over(self._meshes, partial(list, held), held[0])).sum(0)


def noise_floor(edge: SpectralEdge, size: int) -> float:
    """√(max|δ|² / √m): the error of an inner product of the longest sketched update with itself, as a singular value.

    Args:
        edge: of sketched updates.
        size: m.
    """
    longest = float((edge.left**2 @ edge.singular_values**2).max())
    return (longest / size**0.5) ** 0.5


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _hash(index: Tensor, key: int, size: int) -> tuple[Tensor, Tensor]:
    """Bucket in 0 … size - 1 and sign ±1 of each element, from one 64-bit mix of its position and its name's key."""
    mixed = (index + (key >> 1)) * _MIX[0]
    mixed ^= (mixed >> 32) & 0xFFFFFFFF  # >> is arithmetic: the mask makes it a logical shift
    mixed *= _MIX[1]
    mixed ^= (mixed >> 29) & 0x7FFFFFFFF
    return (mixed >> 8) & (size - 1), ((mixed >> 40) & 2) - 1
