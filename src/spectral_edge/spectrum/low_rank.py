"""Updates of products B A, which are never multiplied out: low-rank adapters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor

__all__ = ["Factors", "LowRankUpdates", "inner_product"]

# Entries of a block of columns of the updates that are worth making at once.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Factors:
    """One product s B A, (m, n), or its transpose.

    Attributes:
        left: B, (m, r).
        right: A, (r, n).
        scale: s.
        transposed: the product is (n, m): the layer keeps its weight the other way round.
    """

    left: Tensor
    right: Tensor
    scale: float = 1.0
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Of the product."""
        m, n = self.left.shape[0], self.right.shape[1]
        return (n, m) if self.transposed else (m, n)

    def rows(self, first: int, last: int) -> Tensor:
        """Rows of the product, float64."""
        left, right = (self.right.T, self.left.T) if self.transposed else (self.left, self.right)
        return self.scale * (left[first:last].double() @ right.double())

    def minus(self, before: Factors) -> Factors:
        """s B A - s' B' A' as one product of rank r + r', each difference taken before it is multiplied.

        B A - B' A' = (B - B') A + B' (A - A'), so that what both have in common does not cancel in rounding.
        """
        left, right = self.left.double() * self.scale, self.right.double()
        old_left, old_right = before.left.double() * before.scale, before.right.double()
        if left.shape != old_left.shape:  # of another rank
            return Factors(torch.cat([left, -old_left], 1), torch.cat([right, old_right]), 1.0, self.transposed)
        return Factors(
            torch.cat([left - old_left, old_left], 1), torch.cat([right, right - old_right]), 1.0, self.transposed
        )


def inner_product(one: Factors, other: Factors) -> float:
    """⟨s B A, s' B' A'⟩ = s s' ⟨Bᵀ B', A A'ᵀ⟩, of r × r' matrices; both transposed or neither."""
    left = one.left.double().T @ other.left.double()
    right = one.right.double() @ other.right.double().T
    return one.scale * other.scale * float((left * right).sum())


@dataclass(frozen=True, eq=False)
class LowRankUpdates:
    """Updates between neighbouring products, (N - 1, D); the :class:`~spectral_edge.spectrum.Rows` of an edge.

    D is Σ m n over the layers: directions live where the products are added to, in the base weights. Everything here is
    of the products, so nothing changes under A → R A, B → B R⁻¹.

    Attributes:
        snapshots: N of them, each with the factors of every layer.
        divided_by: training steps that each update took, where updates are rates; else empty.
    """

    snapshots: tuple[tuple[Factors, ...], ...]
    divided_by: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        """D."""
        return sum(m * n for m, n in (factors.shape for factors in self.snapshots[0]))

    @property
    def dtype(self) -> torch.dtype:
        """Of directions."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.snapshots[0][0].left.device

    @property
    def block(self) -> int:
        """Columns that are made at once."""
        return _BLOCK

    def between(self, first: int, last: int) -> LowRankUpdates:
        """The updates ``first`` to ``last - 1``."""
        return LowRankUpdates(self.snapshots[first : last + 1], self.divided_by[first:last])

    def gram_matrix(self, others: LowRankUpdates | None = None) -> Tensor:
        """G_ij = ⟨update_i, update_j⟩, float64, or with other updates of the same layers; N² r² (m + n) a layer."""
        mine, theirs = self._updates, None if others is None else others._updates
        rows = [
            [
                sum(inner_product(a, b) for a, b in zip(one, other, strict=True))
                for other in (mine[: i + 1] if theirs is None else theirs)
            ]
            for i, one in enumerate(mine)
        ]
        if theirs is not None:
            return torch.tensor(rows, dtype=torch.float64)
        gram = torch.zeros(len(mine), len(mine), dtype=torch.float64)
        for i, row in enumerate(rows):
            gram[i, : i + 1] = gram[: i + 1, i] = torch.tensor(row, dtype=torch.float64)
        return gram

    @cached_property
    def _updates(self) -> list[list[Factors]]:
        took = self.divided_by or (1.0,) * (len(self.snapshots) - 1)
        return [
            [_divided(now.minus(then), n) for now, then in zip(after, before, strict=True)]
            for (before, after), n in zip(pairwise(self.snapshots), took, strict=True)
        ]

    def read(self, columns: slice) -> list[Tensor]:
        """Some columns of the updates, (N - 1, n) float64."""
        start, stop, _ = columns.indices(self.dim)
        begins = [0, *accumulate(m * n for m, n in (factors.shape for factors in self.snapshots[0]))]
        updates = self._updates
        pieces = []
        for layer, (begin, end) in enumerate(pairwise(begins)):
            if begin < stop and end > start:
                width = self.snapshots[0][layer].shape[1]
                low, high = max(start - begin, 0), min(stop, end) - begin
                first, last = low // width, -(-high // width)
                rows = torch.stack([update[layer].rows(first, last).flatten() for update in updates])
                pieces.append(rows[:, low - first * width : high - first * width])
        return [torch.cat(pieces, 1)]

    def displacement(self) -> Tensor:
        """The last products minus the first, (D,) float32."""
        ends = LowRankUpdates((self.snapshots[0], self.snapshots[-1]))
        blocks = range(0, self.dim, _BLOCK)
        return torch.cat([ends.read(slice(start, start + _BLOCK))[0][0].float() for start in blocks])


def _divided(factors: Factors, by: float) -> Factors:
    return Factors(factors.left, factors.right, factors.scale / by, factors.transposed)
