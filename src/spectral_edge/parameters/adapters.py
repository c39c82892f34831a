"""Low-rank adapters s B A of a model, seen as what they add to its base weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spectral_edge.parameters.selection import unwrap_model
from spectral_edge.parameters.sharding import shard_of
from spectral_edge.parameters.subset import Block, ParameterSubset

__all__ = ["Adapter", "adapted_weights", "adapters_of", "plain_name"]

_ROWS = 1 << 20  # entries of a product that are multiplied out at once


@dataclass(frozen=True, eq=False)
class Adapter:
    """One low-rank adapter of PEFT: the layer computes (W + s B A) x.

    Attributes:
        name: of the base weight W in the model.
        base: W.
        names: of A and of B in the model.
        right: A, (r, n).
        left: B, (m, r).
        scale: s.
        transposed: W is (n, m), as in GPT-2.
    """

    name: str
    base: Tensor
    names: tuple[str, str]
    right: Tensor
    left: Tensor
    scale: float
    transposed: bool


def adapters_of(model: nn.Module) -> list[Adapter]:
    """The active LoRA adapters of a model, in the order of its modules.

    Raises:
        ValueError: there are none; several are active in one layer; one is DoRA, merged, sharded, or on a quantised
            weight.
    """
    found = []
    for name, module in unwrap_model(model).named_modules():
        layer: Any = module
        if isinstance(getattr(layer, "lora_A", None), nn.ModuleDict) and len(layer.lora_A):
            found.append(_adapter(name, layer))
    if not found:
        raise ValueError(
            f"{type(unwrap_model(model)).__name__} has no LoRA adapters (modules with lora_A and lora_B, as PEFT makes "
            "them); choose other parameters"
        )
    return found


def _adapter(name: str, layer: Any) -> Adapter:
    active = [key for key in layer.active_adapters if key in layer.lora_A]
    if len(active) != 1:
        raise ValueError(f"{name}: {len(active)} LoRA adapters are active; make one of {list(layer.lora_A)} active")
    key = active[0]
    if layer.merged:
        raise ValueError(f"{name}: its adapter is merged into the base weight; unmerge it (model.unmerge_adapter())")
    if getattr(layer, "use_dora", {}).get(key, False):
        raise ValueError(f"{name}: a DoRA adapter scales the base weight, so it is no product B A added to it")
    base = layer.get_base_layer().weight
    if not base.is_floating_point() or base.ndim != 2:
        raise ValueError(
            f"{name}: its base weight is {base.dtype} of shape {tuple(base.shape)}, which cannot be moved along a "
            "direction; load the model without quantisation, and adapt matrices"
        )
    right, left = layer.lora_A[key].weight, layer.lora_B[key].weight
    if any(shard_of(name, weight).mesh is not None for weight in (base, right, left)):
        raise ValueError(f"{name}: it is sharded over processes, and products of sharded factors are not supported")
    return Adapter(
        f"{name}.base_layer.weight",
        base,
        (f"{name}.lora_A.{key}.weight", f"{name}.lora_B.{key}.weight"),
        right,
        left,
        float(layer.scaling[key]),
        bool(getattr(layer, "fan_in_fan_out", False)),
    )


def adapted_weights(model: nn.Module, names: Sequence[str] | None = None) -> ParameterSubset:
    """The base weights that adapters add to; their θ is what the adapters add, s B A.

    Args:
        model: with adapters.
        names: of base weights as the model without adapters has them, in the order of the layout; by default as they
            come. Those that have no adapter are left out.

    Raises:
        ValueError: as :func:`adapters_of`, or none of the names has an adapter.
    """
    found = adapters_of(model)
    if names is not None:
        plain = {plain_name(adapter.name): adapter for adapter in found}
        found = [plain[name] for name in names if name in plain]
    return ParameterSubset({adapter.name: adapter.base for adapter in found}, theta=partial(_products, found))


def plain_name(name: str) -> str:
    """What a weight is called in the model without adapters.

    >>> plain_name("base_model.model.h.0.attn.c_attn.base_layer.weight")
    'h.0.attn.c_attn.weight'
    """
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _products(found: list[Adapter]) -> Iterator[Block]:
    """The present products, a few rows at a time, in the layout of the base weights."""
    column = 0
    for number, adapter in enumerate(found):
        left, right = adapter.left.detach().double() * adapter.scale, adapter.right.detach().double()
        if adapter.transposed:
            left, right = right.T, left.T
        at_once = max(1, _ROWS // right.shape[1])
        start = 0
        for rows in left.split(at_once):
            values = (rows @ right).flatten()
            yield Block(number, start, slice(column, column + len(values)), values.to(torch.float32))
            start, column = start + len(values), column + len(values)
