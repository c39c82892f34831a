"""Responses as exact derivatives: forward mode through any model, or a model's own closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectral_edge.modes.finishing import finish
from spectral_edge.modes.inputs import Forward, Inputs, as_rows, input_batches
from spectral_edge.parameters import ParameterSubset, attention_weights

__all__ = ["brings_derivative", "closed_form", "differentiable_attention", "jacobian_vector_product", "reader"]


@contextmanager
def differentiable_attention() -> Iterator[None]:
    """Attention that has a forward-mode derivative while the block runs; fused kernels and the fast path have none."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        finish(lambda: torch.backends.mha.set_fastpath_enabled(was))


def jacobian_vector_product(
    model: nn.Module,
    parameters: ParameterSubset,
    forward: Forward,
    batch_size: int,
    directions: Tensor,
    inputs: Inputs,
) -> Tensor:
    """dh/dε along k directions at ε = 0, (k, N, d), by ``torch.func.jvp`` batched over directions."""
    values = {name: parameter.detach() for name, parameter in parameters.parameters.items()}
    read = reader(model, forward)

    def rows(batch: Inputs, subset: dict[str, Tensor]) -> Tensor:
        return as_rows(read(subset, batch), batch)

    def tangents(batch: Inputs) -> Tensor:
        def tangent(direction: dict[str, Tensor]) -> Tensor:
            return jvp(partial(rows, batch), (values,), (direction,))[1]

        return vmap(tangent)(parameters.unflatten(directions))

    return torch.cat([tangents(batch) for batch in input_batches(inputs, batch_size)], dim=1)


def brings_derivative(model: nn.Module, parameters: ParameterSubset) -> bool:
    """Whether the model has its own ``residual_jvp(pairs, tangents)`` and the subset is the one that it is for."""
    return hasattr(model, "residual_jvp") and parameters.names == attention_weights(model).names


def closed_form(model: nn.Module, parameters: ParameterSubset, directions: Tensor, inputs: Inputs) -> Tensor:
    """The derivative that the model brings, (k, N, d)."""
    return model.residual_jvp(inputs, parameters.unflatten(directions))  # type: ignore[operator]


def reader(model: nn.Module, forward: Forward) -> Callable[[Mapping[str, Tensor], Inputs], Tensor]:
    """``forward(model, inputs)`` as a function of some of the parameters' values, by name, and the inputs."""
    bound, places = _Bound(model, forward), _places(model)

    def read(values: Mapping[str, Tensor], inputs: Inputs) -> Tensor:
        put = {f"model.{place}": value for name, value in values.items() for place in places[name]}
        return functional_call(bound, put, (inputs,), tie_weights=False)

    return read


def _places(model: nn.Module) -> dict[str, list[str]]:
    """Of each parameter's name, every name under which it is to be replaced: one in each module that holds it.

    A module that is reached on two paths (a block used twice) is one module. ``functional_call`` would replace its
    parameter twice, take the first replacement for the original, and leave that in the model.
    """
    found: dict[int, list[str]] = {}
    for path, module in model.named_modules():  # each module once
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            found.setdefault(id(parameter), []).append(f"{path}.{name}" if path else name)
    return {name: found[id(parameter)] for name, parameter in model.named_parameters(remove_duplicate=False)}


class _Bound(nn.Module):
    """A model together with the function that reads it, so that ``functional_call`` swaps the model's parameters."""

    def __init__(self, model: nn.Module, read: Forward) -> None:
        super().__init__()
        self.model = model
        self.read = read

    def forward(self, inputs: Inputs) -> Tensor:
        return self.read(self.model, inputs)
