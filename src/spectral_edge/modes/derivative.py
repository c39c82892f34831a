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
            own = {name: piece.to(values[name].dtype) for name, piece in direction.items()}
            return jvp(partial(rows, batch), (values,), (own,))[1]

        return vmap(tangent)(parameters.unflatten(directions))

    held = [(module._parameters, dict(module._parameters)) for module in model.modules()]

    def put_back() -> None:
        for own, before in held:
            own.update(before)  # interrupted while it swaps back, functional_call leaves other tensors there

    try:
        return torch.cat([tangents(batch) for batch in input_batches(inputs, batch_size)], dim=1)
    finally:
        finish(put_back)


def brings_derivative(model: nn.Module, parameters: ParameterSubset) -> bool:
    """Whether the model has its own ``residual_jvp(pairs, tangents)`` and the subset is the one that it is for.

    Not if the model is more than its class: a forward of a subclass, hooks, or modules of other makers are not in it.
    """
    classes = type(model).__mro__
    maker = next((c for c in classes if "residual_jvp" in vars(c)), None)
    own_forward = "forward" not in vars(model) and next(c for c in classes if "forward" in vars(c)) is maker
    if maker is None or not own_forward or parameters.names != attention_weights(model).names:
        return False
    inside = [module for module in model.modules() if module is not model]
    return not any(module._forward_hooks or module._forward_pre_hooks for module in (model, *inside)) and all(
        type(module).__module__.startswith("torch.") for module in inside
    )


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
