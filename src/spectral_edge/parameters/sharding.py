"""Which part of a parameter this process holds, and sums over the processes that hold the others."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

__all__ = ["Shard", "agree", "reshard", "shard_of", "sum_over", "to_local"]


@dataclass(frozen=True)
class Shard:
    """The block of one parameter that this process holds; the whole parameter where nothing is sharded.

    Attributes:
        name: the parameter.
        full_shape: shape of the whole parameter.
        shape: shape of the block; a dimension may be 0 where there are more processes than rows.
        offset: position of the block's first element in the whole parameter, one number a dimension.
        mesh: the processes that it is spread over; ``None`` for a plain tensor.
        copies: processes of the mesh that hold each element of the block.
    """

    name: str
    full_shape: tuple[int, ...]
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    mesh: DeviceMesh | None = None
    copies: int = 1

    @property
    def dim(self) -> int:
        """Scalars held here."""
        return math.prod(self.shape)

    def global_index(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Row-major positions in the whole parameter of the block's elements ``start`` … ``stop - 1``, int64.

        >>> Shard("w", full_shape=(4, 6), shape=(2, 3), offset=(1, 3)).global_index(0, 6).tolist()
        [9, 10, 11, 15, 16, 17]
        """
        rest = torch.arange(start, stop, device=device)
        if self.shape == self.full_shape:
            return rest
        index, stride = torch.zeros_like(rest), 1
        for full, held, first in zip(
            reversed(self.full_shape), reversed(self.shape), reversed(self.offset), strict=True
        ):
            index += (rest % held + first) * stride
            rest = rest // held
            stride *= full
        return index


def to_local(tensor: Tensor) -> Tensor:
    """The block of ``tensor`` that this process holds, detached and sharing its memory; all of a plain tensor."""
    held: Any = tensor.detach()
    return held.to_local() if _is_dtensor(held) else held


def reshard(model: nn.Module) -> None:
    """Free the gathered parameters that FSDP2 keeps after a forward pass without a backward pass; nothing otherwise.

    Until then ``model.named_parameters()`` are plain tensors that the optimizer does not know, and the next forward
    pass uses them as they are, whatever has happened to the shards.
    """
    module = sys.modules.get("torch.distributed.fsdp")
    if module is not None:
        for part in model.modules():
            if isinstance(part, module.FSDPModule):
                part.reshard()


def shard_of(name: str, parameter: Tensor) -> Shard:
    """Describe the block of ``parameter`` that this process holds.

    Raises:
        ValueError: the parameter is a DTensor with a pending sum (``Partial``): it has no value to record.
    """
    shape = tuple(parameter.shape)
    if not _is_dtensor(parameter):
        return Shard(name, shape, shape, (0,) * len(shape))
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    tensor: Any = parameter
    if any(placement.is_partial() for placement in tensor.placements):
        raise ValueError(
            f"parameter {name!r} has placements {tensor.placements}: a pending sum has no value yet; redistribute it"
        )
    mesh = tensor.device_mesh
    held, offset = compute_local_shape_and_global_offset(tensor.shape, mesh, tensor.placements)
    copies = math.prod(mesh.size(d) for d, placement in enumerate(tensor.placements) if placement.is_replicate())
    return Shard(name, shape, tuple(held), tuple(offset), mesh, copies)


def sum_over(meshes: Sequence[DeviceMesh | None], parts: Callable[[], Sequence[Tensor]], like: Tensor) -> list[Tensor]:
    """Sum parts over the processes of their meshes; all processes must call this with the same meshes.

    A process that fails to make its parts sums NaN in their place, so that no other waits for it for ever, and then
    raises its error. Nothing that ``parts`` does may communicate.

    Args:
        meshes: one a part; one all-reduce for each of its dimensions, none for ``None``.
        parts: gives this process's summands.
        like: a tensor of their shape, type and device.
    """
    failure: Exception | None = None
    try:
        values = list(parts())
    except Exception as problem:
        values, failure = [torch.full_like(like, torch.nan) for _ in meshes], problem
    sums = [_all_reduced(mesh, value) for mesh, value in zip(meshes, values, strict=True)]
    if failure is not None:
        raise failure
    return sums


def _all_reduced(mesh: DeviceMesh | None, values: Tensor) -> Tensor:
    if mesh is None:
        return values
    there = values.to(mesh.device_type)  # a group of accelerators cannot sum what is in host memory
    for dimension in range(mesh.ndim):
        torch.distributed.all_reduce(there, group=mesh.get_group(dimension))
    return there.to(values.device)


def agree(mesh: DeviceMesh | None, values: Tensor) -> Tensor:
    """Replace ``values`` by those of the first process of ``mesh``, in place; all its processes must call it."""
    if mesh is not None:
        there = values.to(mesh.device_type)
        for dimension in range(mesh.ndim):
            torch.distributed.broadcast(there, group=mesh.get_group(dimension), group_src=0)
        values.copy_(there)
    return values


def _is_dtensor(tensor: Tensor) -> bool:
    # Whoever has a DTensor has imported its module; importing it for everybody else would cost half a second.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
