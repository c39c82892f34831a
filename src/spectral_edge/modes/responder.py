"""One model on fixed inputs, checked once, and its response to any directions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.modes.derivative import (
    brings_derivative,
    closed_form,
    differentiable_attention,
    jacobian_vector_product,
)
from spectral_edge.modes.difference_quotient import difference_quotient, epsilon_of, warn_if_coarse
from spectral_edge.modes.finishing import finish
from spectral_edge.modes.inputs import Forward, Inputs, default_forward, input_batches, inputs_on
from spectral_edge.modes.left_as_found import left_as_found
from spectral_edge.parameters import ParameterSubset, Selector, reshard, select_parameters, to_local, unwrap_model
from spectral_edge.spectrum import SpectralEdge

__all__ = [
    "DIRECTIONS_AT_ONCE",
    "INPUTS_AT_ONCE",
    "Method",
    "Responder",
    "all_finite",
    "check_own",
    "in_threads",
    "responder_of",
]

Method = Literal["jvp", "finite_difference", "central_difference"]
_METHODS = get_args(Method)

INPUTS_AT_ONCE = 256
"""Inputs whose activations are held at once, if no batch size is asked for."""

_PIECE = 1 << 20

# Of the length of a difference quotient: what its derivative may be off by, and how far two steps may disagree.
_WRONG, _AGREE = 0.1, 0.02

DIRECTIONS_AT_ONCE = 8
"""With INPUTS_AT_ONCE inputs of a small model: their activations then stay inside a core's share of the cache."""


@dataclass(frozen=True)
class Responder:
    """Responses of one model on fixed inputs to any directions; made by :func:`responder_of`, which checks them.

    Attributes:
        model: without wrappers.
        parameters: what the directions live in.
        inputs: on the model's device.
        method: how responses are computed.
        epsilon: step of a difference quotient; ``None`` for ``jvp``.
        group: directions that are best computed at once.
        in_parallel: whether several threads may ask for responses.
    """

    model: nn.Module
    parameters: ParameterSubset
    inputs: Inputs = field(repr=False)
    method: Method
    epsilon: float | None
    group: int
    in_parallel: bool
    _respond: Callable[[Tensor, Inputs], Tensor] = field(repr=False)

    def checked(self, directions: Tensor | np.ndarray) -> Tensor:
        """Return directions (k, D) in the parameters' type, the widest where they differ, and place.

        Raises:
            ValueError: their shape does not fit, or one is zero or not finite.
        """
        held = to_local(next(iter(self.parameters.parameters.values())))
        rows = torch.as_tensor(directions).detach().to(held.device, self.parameters.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.parameters.dim:
            raise ValueError(
                f"directions must be (k, {self.parameters.dim}) for these parameters, not {tuple(rows.shape)}; pass "
                "the parameters that they were recorded with (parameters=recorder.parameters)"
            )
        if not len(rows):
            raise ValueError("directions: there are none")
        for number, row in enumerate(rows, start=1):
            if not all_finite(row) or (not self.parameters.sharded and not row.any()):
                raise ValueError(f"direction {number} is zero or not finite; drop it before the analysis")
        return rows

    def of_edge(self, edge: SpectralEdge, k: int | None = None) -> Tensor:
        """The first k directions of an edge, its position k* of them if left out, checked.

        Raises:
            ValueError: as :meth:`checked`, or as :meth:`~spectral_edge.spectrum.SpectralEdge.check_layout`.
        """
        edge.check_layout(self.parameters.names)
        return self.checked(edge.directions(edge.position if k is None else k))

    def on(self, inputs: Inputs) -> Responder:
        """The same for other inputs of the same kind, which are on the model's device."""
        return replace(self, inputs=inputs)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The model as responses need it, while the block runs; entered by one thread, around all calls."""
        with reading(self.model):
            yield

    def __call__(self, directions: Tensor) -> Tensor:
        """Responses (k, N, d) to directions (k, D) that :meth:`checked` has passed, all at once; in :meth:`reading`."""
        return self._respond(directions, self.inputs)


def responder_of(
    model: nn.Module,
    inputs: Inputs | np.ndarray,
    *,
    parameters: ParameterSubset | Selector | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    forward: Forward | None = None,
    batch_size: int | None = None,
) -> Responder:
    """Check model, parameters and inputs, and settle how responses are computed; arguments as ``functional_modes``.

    Raises:
        ValueError: there are no inputs, tensors of a mapping differ in length, the method is unknown, or the parameters
            are not the model's own.

    Warns:
        UserWarning: ``"jvp"`` was asked for and the model has no forward-mode derivative; tried on two inputs.
    """
    if method not in _METHODS:
        raise ValueError(f"method = {method!r} is unknown; choose one of {', '.join(_METHODS)}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size = {batch_size}; at least one input is needed at a time")
    model = unwrap_model(model)
    reshard(model)
    parameters = select_parameters(model, "attention" if parameters is None else parameters)
    check_own(model, parameters)
    inputs = inputs_on(to_local(next(iter(parameters.parameters.values()))).device, inputs)
    size = INPUTS_AT_ONCE if batch_size is None else batch_size
    read = default_forward if forward is None else forward
    exact = partial(jacobian_vector_product, model, parameters, read, size)
    if method == "jvp" and forward is None and brings_derivative(model, parameters):
        # It shares more between more directions, and knows itself how many inputs fit the cache.
        respond = partial(closed_form, model, parameters)
        return Responder(model, parameters, inputs, "jvp", None, 2 * DIRECTIONS_AT_ONCE, True, respond)
    if method == "jvp":
        why = _no_forward_mode(model, parameters, inputs, exact, relative_epsilon, read)
        if why is None:
            return Responder(model, parameters, inputs, "jvp", None, DIRECTIONS_AT_ONCE, False, exact)
        method = "central_difference"
        warnings.warn(
            f"{type(model).__name__} cannot be differentiated in forward mode: {why}. Using central differences with "
            f"relative_epsilon = {relative_epsilon}, whose error falls with its square",
            stacklevel=3,
        )
    epsilon = epsilon_of(parameters, relative_epsilon)
    warn_if_coarse(parameters, epsilon)
    quotient = partial(difference_quotient, model, parameters, read, epsilon, method == "central_difference", size)
    return Responder(model, parameters, inputs, method, epsilon, DIRECTIONS_AT_ONCE, False, quotient)


def check_own(model: nn.Module, parameters: ParameterSubset) -> None:
    """Refuse the parameters of another model, such as a copy: half of what is measured would be the other's.

    Raises:
        ValueError: a parameter is not the model's own; names it.
    """
    own = dict(model.named_parameters(remove_duplicate=False))
    for name, parameter in parameters.parameters.items():
        if name not in own:
            raise ValueError(f"parameters: {type(model).__name__} has no parameter {name!r}; take them from this model")
        if own[name] is not parameter and not parameters.sharded:
            raise ValueError(
                f"parameters: {name!r} is a parameter of another model, such as a copy; take them from this "
                f"{type(model).__name__}, with attention_weights(model) or select_parameters(model, …)"
            )


def all_finite(row: Tensor) -> bool:
    """Whether all entries of a vector are finite; in pieces, as ``isfinite`` makes a copy of what it is given."""
    return all(bool(torch.isfinite(piece).all()) for piece in row.split(_PIECE))


@contextmanager
def in_threads(threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
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


@contextmanager
def reading(model: nn.Module) -> Iterator[None]:
    """The model in ``eval`` mode, without gradients, and differentiable in forward mode, while the block runs.

    Afterwards mode, buffers and random states are as before.
    """
    was = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with left_as_found(model), _without_gradient_hooks(model), differentiable_attention(), torch.no_grad():
            yield
    finally:

        def put_back() -> None:
            try:
                for module, training in was:  # a module whose eval() merges an adapter takes it out again in train()
                    if module.training != training and type(module).train is not nn.Module.train:
                        module.train(training)
            finally:
                for module, training in was:  # each its own: some were in eval mode before, as a frozen batch norm
                    module.training = training

        finish(put_back)


@contextmanager
def _without_gradient_hooks(model: nn.Module) -> Iterator[None]:
    """Without the hooks by which Transformers makes embeddings require gradients, which forward mode refuses.

    ``gradient_checkpointing_enable`` and ``enable_input_require_grads`` leave them in a model.
    """
    handles = [handle for module in model.modules() for handle in getattr(module, "_require_grads_hooks", None) or ()]
    ours = {handle.id for handle in handles}
    of_modules = [module._forward_hooks for module in model.modules()]
    hooks = [(held, held.copy()) for held in of_modules if ours & held.keys()]
    try:
        for held, _ in hooks:
            for number in ours & held.keys():
                del held[number]
        yield
    finally:

        def put_back() -> None:
            for held, before in hooks:
                held.clear()
                held.update(before)  # in their order

        finish(put_back)


def _no_forward_mode(
    model: nn.Module,
    parameters: ParameterSubset,
    inputs: Inputs,
    exact: Callable[[Tensor, Inputs], Tensor],
    relative_epsilon: float,
    read: Forward,
) -> str | None:
    """Why the model has no forward-mode derivative, ``None`` if it has; tried on two inputs and a random direction."""
    if parameters.sharded:
        return "its parameters are sharded"
    few = next(input_batches(inputs, 2))  # of one, a forward that squeezes would pass
    direction = torch.randn(1, parameters.dim, generator=torch.Generator().manual_seed(0))
    held = to_local(next(iter(parameters.parameters.values())))
    direction = direction.div_(direction.norm()).to(held.device, parameters.dtype)

    def quotient(share: float) -> Tensor:
        epsilon = share * epsilon_of(parameters, relative_epsilon)
        return difference_quotient(model, parameters, read, epsilon, True, 2, direction, few).double()

    with reading(model):
        try:
            derivative = exact(direction, few).double()
        except (RuntimeError, NotImplementedError) as problem:
            quotient(1.0)  # a mistake in ``forward`` or its inputs shows here as itself
            return str(problem).strip().split("\n")[0]
        if not any(bool(value.any()) for value in parameters.parameters.values()):
            return None  # a step in proportion to the weights has no length
        coarse, fine = quotient(1.0), quotient(0.5)
    known = torch.isfinite(derivative) & torch.isfinite(coarse) & torch.isfinite(fine)  # masked tokens are NaN
    derivative, coarse, fine = derivative[known], coarse[known], fine[known]
    # Quotients of two steps that agree have hardly any error of curvature or rounding left.
    size = float(fine.norm())
    off, disagree = float((derivative - fine).norm()), float((coarse - fine).norm())
    # Quotients that are exactly zero beside a derivative that is not are steps that the number format rounds away.
    if size == 0 or off <= _WRONG * size or disagree > _AGREE * size:
        return None
    return (
        f"its derivative differs by {100 * off / size:.0f} % from difference quotients, which agree among themselves "
        "(a detach, no_grad or .data on the way, or a kink at these weights)"
    )
