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
from spectral_edge.spectrum.edge import gram_matrix

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

    def __call__(self, vectors: Tensor, others: Tensor | None = None) -> Tensor:
        """(V, W) float64 for ``vectors`` (V, D) and ``others`` (W, D), or ``vectors`` again; as :func:`gram_matrix`."""
        if not self.sharded:
            return gram_matrix(vectors, others)
        shape = (len(vectors), len(vectors if others is None else others))
        total = torch.zeros(shape, dtype=torch.float64, device=vectors.device)
        for mesh in self._meshes:
            held = partial(self._held, mesh, vectors, others)
            total += sum_over(mesh, held, total)
        return total

    def _held(self, mesh: DeviceMesh | None, vectors: Tensor, others: Tensor | None) -> Tensor:
        parts = [
            gram_matrix(vectors[:, group.place], None if others is None else others[:, group.place]) / group.copies
            for group in self._groups
            if group.mesh == mesh
        ]
        return torch.stack(parts).sum(0)

    def agree(self, values: Tensor) -> Tensor:
        """Replace ``values`` by the first process's, in place, on all processes; all must call."""
        for mesh in self._meshes:
            agree(mesh, values)
        return values

    def total(self, part: Callable[[], Tensor], like: Tensor) -> Tensor:
        """Sum flags over the processes, for decisions that all must take alike; only whether a sum is 0 has a meaning.

        Args:
            part: gives this process's flags.
            like: a tensor of their shape, type and device.
        """
        for mesh in self._meshes:
            flags = sum_over(mesh, part, like)
            part = partial(torch.clone, flags)
        return part()
