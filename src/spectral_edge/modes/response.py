"""Responses of a model to parameter directions, exactly (Jacobian-vector product) or by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.modes.inputs import Forward, Inputs
from spectral_edge.modes.responder import DIRECTIONS_AT_ONCE, Method, Responder, in_threads, responder_of
from spectral_edge.parameters import ParameterSubset, Selector

__all__ = [
    "FunctionalModes",
    "discrepancy",
    "functional_modes",
    "iterate_responses",
    "map_responses",
    "mode_energy",
]

Read = TypeVar("Read")

# Float64 copies of so many inputs stay in the cache; a copy of all of them costs four times as much.
_INPUTS_IN_DOUBLE = 1024


@dataclass(frozen=True, eq=False)
class FunctionalModes:
    """Responses of a model to k directions on N inputs, and the functions they induce.

    Attributes:
        response: (k, N, d), of the output's type, dh/deps along v_k at eps = 0 (``jvp``), or a difference quotient,
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


def iterate_responses(
    model: nn.Module,
    directions: Tensor,
    inputs: Inputs,
    *,
    parameters: ParameterSubset | Selector | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    forward: Forward | None = None,
    batch_size: int | None = None,
) -> Iterator[Tensor]:
    """Yield responses (<= 8, N, d) of consecutive groups of directions: :func:`functional_modes` in bounded memory.

    Arguments and errors as there.
    """
    respond = responder_of(
        model,
        inputs,
        parameters=parameters,
        method=method,
        relative_epsilon=relative_epsilon,
        forward=forward,
        batch_size=batch_size,
    )
    yield from _iterate(respond, respond.checked(directions))


def map_responses(
    read: Callable[[Tensor], Read],
    model: nn.Module,
    directions: Tensor,
    inputs: Inputs,
    *,
    parameters: ParameterSubset | Selector | None = None,
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
    respond = responder_of(model, inputs, parameters=parameters, method=method, relative_epsilon=relative_epsilon)
    yield from _iterate(respond, respond.checked(directions), read, threads if respond.in_parallel else 1)


def _iterate(
    respond: Responder, directions: Tensor, read: Callable[[Tensor], Any] = lambda group: group, threads: int = 1
) -> Iterator[Any]:
    groups = directions.split(respond.group)

    def answers(several: Tensor) -> list[Any]:
        return [read(group) for group in respond(several).split(DIRECTIONS_AT_ONCE)]

    with in_threads(threads) as run:
        for start in range(0, len(groups), threads):
            with respond.reading():  # not while whoever asked has control
                found = list(run(answers, groups[start : start + threads]))
            while found:  # not held longer than they are needed
                yield from found.pop(0)


def functional_modes(
    model: nn.Module,
    directions: Tensor | np.ndarray,
    inputs: Inputs | np.ndarray,
    *,
    parameters: ParameterSubset | Selector | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    forward: Forward | None = None,
    batch_size: int | None = None,
) -> FunctionalModes:
    """Turn parameter directions into functions of the input: f_k(x) = ||d h(x; theta + eps v_k) / d eps||^2.

    Source: paper, section 1 and Definition 1. The model is left as it was; it is evaluated in ``eval`` mode.

    Args:
        model: any module.
        directions: (k, D) in the layout of ``parameters``; not normalised here.
        inputs: a tensor, or a mapping of tensors such as a tokenizer gives, batched along the first axis and moved to
            the model's device. For a ``ModularTransformer``, (N, 2) pairs.
        parameters: what the directions live in, or a choice as for ``watch``; the attention weights if left out.
        method: ``"jvp"``, exact, batched over directions; ``"finite_difference"``, as the paper; or
            ``"central_difference"``, whose error falls with the square of the step.
        relative_epsilon: step of the finite difference as a fraction of the norm of the subset.
        forward: ``forward(model, batch) -> (n, …)``, the representation h, flattened to (n, d). Left out: the residual
            stream of a ``ModularTransformer``; the output of any other model, or its ``logits``.
        batch_size: inputs whose activations are held at once; 256 if left out. Memory is 8 directions times that.

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

    Cost: about three forward passes a direction for ``jvp``, two fifths of that with the model's own derivative, one
    for ``finite_difference``; memory k N d floats for the result and 8 directions x 256 inputs of activations.

    >>> layer = nn.Linear(2, 1, bias=False)  # h = w x, so the response to v is v x and f = (v x)^2
    >>> weights = ParameterSubset(dict(layer.named_parameters()))
    >>> inputs, v = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    >>> functional_modes(layer, v, inputs, parameters=weights, forward=lambda m, x: m(x)).energy.tolist()
    [[1.0, 9.0]]
    """
    respond = responder_of(
        model,
        inputs,
        parameters=parameters,
        method=method,
        relative_epsilon=relative_epsilon,
        forward=forward,
        batch_size=batch_size,
    )
    response = torch.cat(list(_iterate(respond, respond.checked(directions))))
    return FunctionalModes(response, mode_energy(response), respond.method, respond.epsilon)


def mode_energy(response: Tensor) -> Tensor:
    """f_k(x) = ||response_k(x)||^2, (k, N, d) -> (k, N) float64."""
    rows = response.reshape(-1, response.shape[-1]).split(_INPUTS_IN_DOUBLE)
    doubles = (part.double() for part in rows)
    return torch.cat([torch.linalg.vecdot(part, part) for part in doubles]).reshape(response.shape[:-1])


def discrepancy(exact: FunctionalModes, approximate: FunctionalModes) -> Tensor:
    """Relative distance ||r' - r|| / ||r|| of two computations of the same responses, one number a direction (k,).

    For a finite difference against the exact derivative it grows in proportion to eps (curvature) and, at very
    small eps, to 1/eps (rounding).

    Raises:
        ValueError: the responses differ in shape.
    """
    if exact.response.shape != approximate.response.shape:
        raise ValueError(
            f"discrepancy: responses of shapes {tuple(exact.response.shape)} and {tuple(approximate.response.shape)} "
            "are not the same ones computed twice"
        )
    difference = (approximate.response.double() - exact.response.double()).flatten(1).norm(dim=1)
    return difference / exact.response.double().flatten(1).norm(dim=1)
