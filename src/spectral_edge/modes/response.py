"""Responses of a model to parameter directions, exactly (Jacobian-vector product) or by finite differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectral_edge.modes.difference_quotient import (
    INPUTS_AT_ONCE,
    Forward,
    difference_quotient,
    epsilon_of,
    warn_if_coarse,
)
from spectral_edge.parameters import ParameterSubset, attention_weights, reshard, to_local, unwrap_model

__all__ = [
    "FunctionalModes",
    "Method",
    "discrepancy",
    "functional_modes",
    "iterate_responses",
    "map_responses",
    "mode_energy",
]

Method = Literal["jvp", "finite_difference", "central_difference"]
_METHODS = get_args(Method)
Read = TypeVar("Read")

# With INPUTS_AT_ONCE inputs: their activations then stay inside a core's share of the cache.
_DIRECTIONS_AT_ONCE = 8


@dataclass(frozen=True)
class FunctionalModes:
    """Responses of a model to k directions on N inputs, and the functions they induce.

    Attributes:
        response: (k, N, d) float32, dh/deps along v_k at eps = 0 (``jvp``), or a difference quotient,
            [h(theta + eps v_k) - h(theta)] / eps (``finite_difference``) or
            [h(theta + eps v_k) - h(theta - eps v_k)] / 2 eps (``central_difference``): the same unit for all.
        energy: (k, N) float64, f_k(x) = ||response_k(x)||^2.
        method: how the response was computed.
        epsilon: the step eps of a difference quotient, ``None`` for ``jvp``. The paper's dh is eps x response.
    """

    response: Tensor
    energy: Tensor
    method: Method
    epsilon: float | None

    def __repr__(self) -> str:
        k, n, d = self.response.shape
        return f"FunctionalModes(k={k}, inputs={n}, d={d}, method={self.method!r})"


def _residual_of_pairs(model: nn.Module, pairs: Tensor) -> Tensor:
    return model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]


@contextmanager
def _differentiable_attention() -> Iterator[None]:
    # The fused attention kernels and the encoder fast path have no forward-mode derivative.
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def iterate_responses(
    model: nn.Module,
    directions: Tensor,
    inputs: Tensor,
    *,
    parameters: ParameterSubset | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    forward: Forward | None = None,
) -> Iterator[Tensor]:
    """Yield responses (<= 8, N, d) of consecutive groups of directions: :func:`functional_modes` in bounded memory.

    Arguments and errors as there.
    """
    model, parameters, directions, inputs = _checked(model, parameters, directions, inputs, method)
    method = _usable_method(method, model, parameters, relative_epsilon, forward, directions, inputs)
    yield from _iterate(model, parameters, directions, inputs, method, relative_epsilon, forward)


def map_responses(
    read: Callable[[Tensor], Read],
    model: nn.Module,
    directions: Tensor,
    inputs: Tensor,
    *,
    parameters: ParameterSubset | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    threads: int = 1,
) -> Iterator[Read]:
    """Yield what ``read`` makes of each group that :func:`iterate_responses` yields; arguments and errors as there.

    Args:
        read: a function of responses (<= 8, N, d).
        threads: that compute and read responses, where the model has its own derivative. Each takes whole groups on one
            core, so the result does not depend on their number. Memory: 16 N d floats each.
    """
    model, parameters, directions, inputs = _checked(model, parameters, directions, inputs, method)
    method = _usable_method(method, model, parameters, relative_epsilon, None, directions, inputs)
    yield from _iterate(model, parameters, directions, inputs, method, relative_epsilon, None, read, threads)


def _iterate(
    model: nn.Module,
    parameters: ParameterSubset,
    directions: Tensor,
    inputs: Tensor,
    method: Method,
    relative_epsilon: float,
    forward: Forward | None,
    read: Callable[[Tensor], Any] = lambda group: group,
    threads: int = 1,
) -> Iterator[Any]:
    respond = _response(method, model, parameters, relative_epsilon, forward)
    if method == "jvp" and forward is None and _brings_derivative(model, parameters):
        # It shares more between more directions, and knows itself how many inputs fit the cache.
        groups = directions.split(2 * _DIRECTIONS_AT_ONCE)
    else:
        groups, threads = directions.split(_DIRECTIONS_AT_ONCE), 1  # a difference quotient moves the model's parameters

    def answers(several: Tensor) -> list[Any]:
        return [read(group) for group in respond(several, inputs).split(_DIRECTIONS_AT_ONCE)]

    with _one_each(threads) as in_threads:
        for start in range(0, len(groups), threads):
            with _reading(model):
                found = list(in_threads(answers, groups[start : start + threads]))
            while found:  # not held longer than they are needed
                yield from found.pop(0)


@contextmanager
def _one_each(threads: int) -> Iterator[Callable[[Callable[[Tensor], Any], Iterable[Tensor]], Iterable[Any]]]:
    """``map`` in this thread, or in several, on one core each and without gradients, for which each thread is asked."""
    if threads == 1:
        yield map
        return

    def begin() -> None:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    here = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=begin) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(here)  # what threads to come start with was set, too


def _checked(
    model: nn.Module, parameters: ParameterSubset | None, directions: Tensor, inputs: Tensor, method: str
) -> tuple[nn.Module, ParameterSubset, Tensor, Tensor]:
    model = unwrap_model(model)
    reshard(model)
    parameters = attention_weights(model) if parameters is None else parameters
    directions = torch.as_tensor(directions).to(to_local(next(iter(parameters.parameters.values()))))
    inputs = torch.as_tensor(inputs).to(directions.device)
    if directions.ndim != 2 or directions.shape[1] != parameters.dim:
        raise ValueError(
            f"functional_modes: directions must be (k, {parameters.dim}) for these parameters, got "
            f"{tuple(directions.shape)}; pass the parameters they were recorded with (parameters=recorder.parameters)"
        )
    if not torch.isfinite(directions).all() or (not parameters.sharded and (directions == 0).all(1).any()):
        raise ValueError("functional_modes: a direction is zero or not finite; drop it before the analysis")
    if len(inputs) == 0:
        raise ValueError("functional_modes: there are no inputs")
    if method not in _METHODS:
        raise ValueError(f"functional_modes: method = {method!r}; choose one of {', '.join(_METHODS)}")
    return model, parameters, directions, inputs


@contextmanager
def _reading(model: nn.Module) -> Iterator[None]:
    """The model in ``eval`` mode, without gradients, and differentiable in forward mode, while the block runs."""
    was = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with _differentiable_attention(), torch.no_grad():
            yield
    finally:
        for module, training in was:  # some may have been in eval mode by themselves, as a frozen batch norm
            module.training = training


def _usable_method(
    method: Method,
    model: nn.Module,
    parameters: ParameterSubset,
    relative_epsilon: float,
    forward: Forward | None,
    directions: Tensor,
    inputs: Tensor,
) -> Method:
    """``method``, or ``"central_difference"`` where the model has no forward-mode derivative; says so.

    Tried on one direction and one input.
    """
    if method != "jvp" or (forward is None and _brings_derivative(model, parameters)):
        return method
    why = "its parameters are sharded"
    if not parameters.sharded:
        trial = directions[:1], inputs[:1]

        def moves() -> bool:
            return bool(_response("central_difference", model, parameters, relative_epsilon, forward)(*trial).any())

        with _reading(model):
            try:
                if _response("jvp", model, parameters, relative_epsilon, forward)(*trial).any() or not moves():
                    return method
                why = "the derivative is exactly zero although the function moves (a detach or no_grad on the way)"
            except (RuntimeError, NotImplementedError) as problem:
                moves()  # a mistake in ``forward`` or its inputs shows here as itself
                why = str(problem).strip().split("\n")[0]
    warnings.warn(
        f"functional_modes: {type(model).__name__} cannot be differentiated in forward mode: {why}. Using central "
        f"differences with relative_epsilon = {relative_epsilon}, whose error falls with its square",
        stacklevel=2,
    )
    return "central_difference"


def _response(
    method: Method,
    model: nn.Module,
    parameters: ParameterSubset,
    relative_epsilon: float,
    forward: Forward | None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (directions, inputs) -> responses of a method."""
    if method == "jvp" and forward is None and _brings_derivative(model, parameters):
        return partial(_closed_form, model, parameters)
    read = forward or _residual_of_pairs
    if method == "jvp":
        return partial(_jacobian_vector_product, model, parameters, read)
    epsilon = epsilon_of(parameters, relative_epsilon)
    warn_if_coarse(parameters, epsilon)
    return partial(difference_quotient, model, parameters, read, epsilon, method == "central_difference")


def _jacobian_vector_product(
    model: nn.Module, parameters: ParameterSubset, forward: Forward, directions: Tensor, inputs: Tensor
) -> Tensor:
    values = {name: parameter.detach() for name, parameter in parameters.parameters.items()}

    def function(batch: Tensor, subset: dict[str, Tensor]) -> Tensor:
        return functional_call(_Bound(model, forward), {f"model.{k}": v for k, v in subset.items()}, (batch,))

    def tangents(batch: Tensor) -> Tensor:
        def tangent(direction: dict[str, Tensor]) -> Tensor:
            return jvp(partial(function, batch), (values,), (direction,))[1]

        return vmap(tangent)(parameters.unflatten(directions))

    return torch.cat([tangents(batch) for batch in inputs.split(INPUTS_AT_ONCE)], dim=1)


def _brings_derivative(model: nn.Module, parameters: ParameterSubset) -> bool:
    """Whether the model has its own ``residual_jvp(pairs, tangents)`` and the subset is the one that it is for."""
    return hasattr(model, "residual_jvp") and parameters.names == attention_weights(model).names


def _closed_form(model: nn.Module, parameters: ParameterSubset, directions: Tensor, inputs: Tensor) -> Tensor:
    return model.residual_jvp(inputs, parameters.unflatten(directions))  # type: ignore[operator]


class _Bound(nn.Module):
    """A model together with the function that reads it, so that ``functional_call`` swaps the model's parameters."""

    def __init__(self, model: nn.Module, read: Forward) -> None:
        super().__init__()
        self.model = model
        self.read = read

    def forward(self, inputs: Tensor) -> Tensor:
        return self.read(self.model, inputs)


def functional_modes(
    model: nn.Module,
    directions: Tensor | np.ndarray,
    inputs: Tensor | np.ndarray,
    *,
    parameters: ParameterSubset | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    forward: Forward | None = None,
) -> FunctionalModes:
    """Turn parameter directions into functions of the input: f_k(x) = ||d h(x; theta + eps v_k) / d eps||^2.

    Source: paper, section 1 and Definition 1. The model is left as it was; it is evaluated in ``eval`` mode.

    Args:
        model: any module; by default one called as ``model(a, b, return_residual=True)[1]`` on pairs.
        directions: (k, D) in the layout of ``parameters``; not normalised here.
        inputs: (N, 2) pairs, or any one tensor that ``forward`` takes, batched along the first axis.
        parameters: the subset the directions live in; ``attention_weights(model)`` if left out.
        method: ``"jvp"``, exact, batched over directions; ``"finite_difference"``, as the paper; or
            ``"central_difference"``, whose error falls with the square of the step.
        relative_epsilon: step of the finite difference as a fraction of the norm of the subset.
        forward: ``forward(model, inputs) -> (N, d)``, the representation h.

    Raises:
        ValueError: directions do not fit the subset, are zero or not finite, no inputs, unknown method, or a step
            that is not positive.

    Warns:
        UserWarning: ``"jvp"`` was asked for, and the model cannot be differentiated in forward mode (a custom
            ``autograd.Function``, a fused kernel, sharded parameters); central differences are used, and ``.method``
            says so.

    Parameters are moved in place for difference quotients, and put back exactly. Where they are sharded, all processes
    must call with the same inputs.

    A model may bring ``residual_jvp(pairs, tangents) -> (k, N, d)`` for its attention weights, as
    ``ModularTransformer`` does; it is then used in place of ``torch.func.jvp``.

    Cost: about three forward passes a direction for ``jvp``, a third of that with the model's own derivative, one for
    ``finite_difference``; memory k N d floats for the result and 8 directions x 256 inputs of activations.

    >>> layer = nn.Linear(2, 1, bias=False)  # h = w x, so the response to v is v x and f = (v x)^2
    >>> weights = ParameterSubset(dict(layer.named_parameters()))
    >>> inputs, v = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    >>> functional_modes(layer, v, inputs, parameters=weights, forward=lambda m, x: m(x)).energy.tolist()
    [[1.0, 9.0]]
    """
    model, parameters, directions, inputs = _checked(
        model, parameters, torch.as_tensor(directions), torch.as_tensor(inputs), method
    )
    method = _usable_method(method, model, parameters, relative_epsilon, forward, directions, inputs)
    response = torch.cat(list(_iterate(model, parameters, directions, inputs, method, relative_epsilon, forward)))
    epsilon = None if method == "jvp" else epsilon_of(parameters, relative_epsilon)
    return FunctionalModes(response, mode_energy(response), method, epsilon)


def mode_energy(response: Tensor) -> Tensor:
    """f_k(x) = ||response_k(x)||^2, (k, N, d) -> (k, N) float64."""
    room = torch.empty(response.shape[1:], dtype=torch.float64, device=response.device)  # new memory costs more
    return torch.stack([torch.linalg.vecdot(room.copy_(r), room) for r in response])


def discrepancy(exact: FunctionalModes, approximate: FunctionalModes) -> Tensor:
    """Relative distance ||r' - r|| / ||r|| of two computations of the same responses, one number a direction (k,).

    For a finite difference against the exact derivative it grows in proportion to eps (curvature) and, at very
    small eps, to 1/eps (rounding).
    """
    difference = (approximate.response.double() - exact.response.double()).flatten(1).norm(dim=1)
    return difference / exact.response.double().flatten(1).norm(dim=1)
