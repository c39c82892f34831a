"""Inner products of long vectors, in float64, also where their entries are spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectral_edge.parameters import Shard, agree, sum_over
from spectral_edge.spectrum.gram import gram_matrix

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

__all__ = ["InnerProducts"]


@dataclass(frozen=True)
class _Columns:
    """Neighbouring columns whose elements are spread over the same processes."""

    place: slice
    mesh: DeviceMesh | None
    copies: int


class InnerProducts:
    """G_ij = <x_i, y_j> of the whole vectors, from the columns that each process holds; each element counts once.

    An element that c processes of its mesh hold is divided by c before the sum over the mesh. Plain tensors are not
    summed: every process is taken to hold the same (DDP). What crosses the network is G, never a vector.

    Args:
        shards: what the columns are; empty where nothing is sharded.
    """

    def __init__(self, shards: Sequence[Shard] = ()) -> None:
        self._groups: list[_Columns] = []
        start = 0
        for (mesh, copies), members in groupby(shards, key=lambda shard: (shard.mesh, shard.copies)):
            stop = start + sum(shard.dim for shard in members)
            self._groups.append(_Columns(slice(start, stop), mesh, copies))
            start = stop
        self._meshes = list(dict.fromkeys(group.mesh for group in self._groups))
        self.sharded = any(mesh is not None for mesh in self._meshes)

    def __call__(self, vectors: Tensor, others: Tensor | None = None, rows: Sequence[int] | None = None) -> Tensor:
        """(V, W) float64 for ``vectors`` (V, D) and ``others`` (W, D), or ``vectors`` again; as :func:`gram_matrix`."""
        if not self.sharded:
            return gram_matrix(vectors, others, rows)
        height = len(vectors) if rows is None else len(rows)
        like = torch.zeros(
            height, len(vectors if others is None else others), dtype=torch.float64, device=vectors.device
        )

        def held() -> list[Tensor]:
            return [self._held(mesh, vectors, others, rows) for mesh in self._meshes]

        return torch.stack(sum_over(self._meshes, held, like)).sum(0)

    def _held(
        self, mesh: DeviceMesh | None, vectors: Tensor, others: Tensor | None, rows: Sequence[int] | None
    ) -> Tensor:
        parts = [
            gram_matrix(vectors[:, g.place], None if others is None else others[:, g.place], rows) / g.copies
            for g in self._groups
            if g.mesh == mesh
        ]
        return torch.stack(parts).sum(0)

    def agree(self, values: Tensor) -> Tensor:
        """Replace ``values`` by the first process's, in place, on all processes; all must call."""
        for mesh in self._meshes:
            agree(mesh, values)
        return values

    def total(self, flags: Callable[[], Tensor], like: Tensor) -> Tensor:
        """Sum flags over the processes, for decisions that all must take alike; only whether a sum is 0 has a meaning.

        Args:
            flags: gives this process's; if that fails, all get NaN, and this process raises.
            like: a tensor of their shape, type and device.
        """
        failure: Exception | None = None
        try:
            found = flags()
        except Exception as problem:
            found, failure = torch.full_like(like, torch.nan), problem
        for mesh in self._meshes:  # a process that two meshes have in common passes on what it has heard
            (found,) = sum_over([mesh], partial(list, [found]), like)
        if failure is not None:
            raise failure
        return found
