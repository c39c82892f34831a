"""A named subset of a model's parameters, seen as one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spectral_edge.parameters.sharding import Shard, shard_of, to_local

__all__ = ["Block", "ParameterSubset"]

# Elements that `blocks` yields at once: 4 MB of float32, so that what is computed on the way stays in the cache.
_BLOCK = 1 << 20


class Block(NamedTuple):
    """A run of neighbouring values of one parameter.

    Attributes:
        number: of the parameter in layout order.
        start: first element within the part of the parameter that this process holds.
        columns: where the values stand in the flat vector.
        values: (n,), to be read only and at once: they share the parameter's memory where that is contiguous.
    """

    number: int
    start: int
    columns: slice
    values: Tensor


@dataclass(frozen=True, eq=False)
class ParameterSubset:
    """An ordered choice of a model's parameters and their layout in one vector of length ``dim``.

    Order is that of ``model.named_parameters()``; tied parameters appear once, under their first name.
    The parameters are held by reference: :meth:`flatten` reads the values they have now.

    Where parameters are sharded over processes (``DTensor``: FSDP2, tensor parallelism), a vector is the concatenation
    of the blocks that *this process* holds, ``dim`` its length (0 for a process that holds none) and ``full_dim`` that
    of the whole; no operation here gathers anything.

    Attributes:
        parameters: name -> parameter, in layout order.
        n_heads: heads per attention layer where the subset is :func:`attention_weights` of layers of
            ``nn.MultiheadAttention``, else ``None``.
        theta: gives what counts as the weights where these are not the parameters' own values: of adapters, B A.
    """

    parameters: Mapping[str, Tensor]
    n_heads: int | None = None
    theta: Callable[[], Iterable[Block]] | None = field(default=None, repr=False, compare=False)
    _walk: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.parameters:
            raise ValueError("ParameterSubset: no parameters given; select at least one")
        for name, parameter in self.parameters.items():
            if not parameter.is_floating_point() and not parameter.is_complex():
                raise ValueError(
                    f"ParameterSubset: {name!r} is {parameter.dtype}, which no direction can move; leave it out"
                )
            if parameter.is_complex():
                raise ValueError(
                    f"ParameterSubset: {name!r} is complex, and directions are real; leave it out, or keep it as two "
                    "real parameters (torch.view_as_real)"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in layout order."""
        return tuple(self.parameters)

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """What this process holds of each parameter, in layout order."""
        return tuple(shard_of(name, parameter) for name, parameter in self.parameters.items())

    @property
    def dim(self) -> int:
        """Number of scalars D in this process."""
        return sum(shard.dim for shard in self.shards)

    @property
    def full_dim(self) -> int:
        """Number of scalars over all processes; ``dim`` where nothing is sharded."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    @property
    def dtype(self) -> torch.dtype:
        """The type of :meth:`flatten`, the widest where parameters differ."""
        return reduce(torch.promote_types, (parameter.dtype for parameter in self.parameters.values()))

    @cached_property
    def sharded(self) -> bool:
        """Whether any parameter is spread over processes."""
        return any(shard.mesh is not None for shard in self.shards)

    def flatten(self, values: Mapping[str, Tensor] | None = None) -> Tensor:
        """Concatenate the subset into a new vector (D,), detached.

        Args:
            values: name -> tensor to read instead of the live parameters, e.g. a state dict; more names are ignored.

        Raises:
            KeyError: a name of the subset is missing from ``values``.
            ValueError: a tensor in ``values`` has another shape than the parameter.
        """
        source = self.parameters if values is None else values
        pieces = []
        for name, parameter in self.parameters.items():
            if name not in source:
                raise KeyError(f"flatten: parameter {name!r} is missing; given: {', '.join(sorted(source))}")
            value = source[name]
            if value.shape != parameter.shape:
                raise ValueError(
                    f"flatten: {name!r} has shape {tuple(value.shape)}, the model has {tuple(parameter.shape)}"
                )
            pieces.append(to_local(value).reshape(-1))
        return torch.cat(pieces)

    def blocks(self) -> list[Block]:
        """The live values in pieces of at most 2²⁰, detached and in layout order.

        Contiguous parameters are not copied, and their pieces are kept until a parameter has got other memory
        (``parameter.data = …``). Others (channels last, transposed), and shards, are read anew each time.

        Cost: a look at each parameter's address.
        """
        if self.sharded or not all(parameter.is_contiguous() for parameter in self.parameters.values()):
            return list(self._cut())
        addresses = [parameter.data_ptr() for parameter in self.parameters.values()]
        if self._walk.get("addresses") != addresses:
            self._walk["addresses"], self._walk["blocks"] = addresses, list(self._cut())
        return self._walk["blocks"]

    def weights(self) -> Iterable[Block]:
        """What counts as θ, in pieces: the live values, unless the subset has a θ of its own."""
        return self.blocks() if self.theta is None else self.theta()

    def _cut(self) -> Iterator[Block]:
        column = 0
        for number, parameter in enumerate(self.parameters.values()):
            values = to_local(parameter).reshape(-1)
            for start in range(0, values.shape[0], _BLOCK):
                piece = values[start : start + _BLOCK]
                end = column + piece.shape[0]
                yield Block(number, start, slice(column, end), piece)
                column = end

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Cut vectors (..., D) into ``{name: (..., *shape)}``; the inverse of :meth:`flatten`.

        Raises:
            ValueError: the last axis is not D long.
        """
        if vector.shape[-1] != self.dim:
            raise ValueError(
                f"unflatten: vector has {vector.shape[-1]} entries, this subset has {self.dim}; "
                "was it made with another parameter subset?"
            )
        leading = vector.shape[:-1]
        pieces = vector.split([shard.dim for shard in self.shards], dim=-1)
        return {
            shard.name: piece.reshape((*leading, *shard.shape))
            for shard, piece in zip(self.shards, pieces, strict=True)
        }

    def __repr__(self) -> str:
        held = f", full_dim={self.full_dim}" if self.sharded else ""
        return f"ParameterSubset({len(self.parameters)} tensors, dim={self.dim}{held})"
