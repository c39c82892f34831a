"""A named subset of a model's parameters, seen as one flat vector: the only flatten in the project."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["ParameterSubset", "Selector", "attention_weights", "select_parameters"]

Selector = str | Callable[[str, nn.Parameter], bool]


@dataclass(frozen=True)
class ParameterSubset:
    """An ordered choice of a model's parameters and their layout in one vector of length ``dim``.

    Order is that of ``model.named_parameters()``; tied parameters appear once, under their first name.
    The parameters are held by reference: :meth:`flatten` reads the values they have now.

    Attributes:
        parameters: name -> parameter, in layout order.
        n_heads: heads per attention layer where the subset is :func:`attention_weights`, else ``None``.
    """

    parameters: Mapping[str, nn.Parameter]
    n_heads: int | None = None

    def __post_init__(self) -> None:
        if not self.parameters:
            raise ValueError("ParameterSubset: no parameters given; select at least one")

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in layout order."""
        return tuple(self.parameters)

    @property
    def dim(self) -> int:
        """Number of scalars D."""
        return sum(parameter.numel() for parameter in self.parameters.values())

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
            pieces.append(value.detach().reshape(-1))
        return torch.cat(pieces)

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
        pieces = vector.split([parameter.numel() for parameter in self.parameters.values()], dim=-1)
        return {
            name: piece.reshape(*leading, *parameter.shape)
            for (name, parameter), piece in zip(self.parameters.items(), pieces, strict=True)
        }

    def __repr__(self) -> str:
        return f"ParameterSubset({len(self.parameters)} tensors, dim={self.dim})"


def attention_weights(model: nn.Module) -> ParameterSubset:
    """Select W_Q, W_K, W_V, W_O of every ``nn.MultiheadAttention``, without biases (paper, section 1).

    In each layer ``in_proj_weight`` (3d, d) stacks W_Q, W_K, W_V; then comes ``out_proj.weight`` (d, d).

    Raises:
        ValueError: the model has no ``nn.MultiheadAttention``, layers differ in their number of heads, or
            queries, keys and values have different widths (no ``in_proj_weight``).

    >>> import spectral_edge as se
    >>> attention_weights(se.ModularTransformer(p=97)).dim
    131072
    """
    layers = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    if not layers:
        raise ValueError(
            f"attention_weights: {type(model).__name__} has no nn.MultiheadAttention; "
            "name the weights yourself: select_parameters(model, r'attn.*weight')"
        )
    n_heads = {layer.num_heads for layer in layers}
    if len(n_heads) > 1:
        raise ValueError(f"attention_weights: layers have different numbers of heads {sorted(n_heads)}")
    wanted = set()
    for layer in layers:
        if layer.in_proj_weight is None:
            raise ValueError("attention_weights: a layer has separate q/k/v widths, so no in_proj_weight")
        wanted |= {id(layer.in_proj_weight), id(layer.out_proj.weight)}
    chosen = {name: w for name, w in model.named_parameters() if id(w) in wanted}
    return ParameterSubset(chosen, n_heads=n_heads.pop())


def select_parameters(model: nn.Module, which: Selector) -> ParameterSubset:
    """Select parameters by ``"attention"``, a regular expression searched in names, or a predicate.

    Args:
        model: any module.
        which: ``"attention"`` (:func:`attention_weights`), a regex, or ``f(name, parameter) -> bool``.

    Raises:
        ValueError: nothing matches; the message lists the names there are.

    >>> select_parameters(nn.Linear(3, 2), "weight")
    ParameterSubset(1 tensors, dim=6)
    """
    if which == "attention":
        return attention_weights(model)
    if isinstance(which, str):
        pattern = re.compile(which)
        chosen = {name: w for name, w in model.named_parameters() if pattern.search(name)}
    else:
        chosen = {name: w for name, w in model.named_parameters() if which(name, w)}
    if not chosen:
        names = [name for name, _ in model.named_parameters()]
        shown = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
        raise ValueError(f"select_parameters: {which!r} matches no parameter of this model; it has {shown}")
    return ParameterSubset(chosen)
