"""How a loss bends along a direction: is an edge a direction of learning, or a flat valley?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, jvp

from spectral_edge.comparison import Statistic, of_direction
from spectral_edge.modes import (
    INPUTS_AT_ONCE,
    Forward,
    Inputs,
    default_forward,
    input_batches,
    input_count,
    reader,
    responder_of,
)
from spectral_edge.parameters import ParameterSubset, Selector

__all__ = ["curvature"]

Loss = Callable[[Tensor, Inputs], Tensor]


def curvature(
    model: nn.Module,
    inputs: Inputs | np.ndarray,
    loss: Loss,
    *,
    parameters: ParameterSubset | Selector | None = None,
    forward: Forward | None = None,
    kind: Literal["hessian", "gauss_newton"] = "hessian",
    batch_size: int | None = None,
) -> Statistic:
    """A statistic of directions: vᵀHv, d²L(θ + εv)/dε² at ε = 0, or vᵀGv with the Gauss–Newton matrix G = JᵀH_L J.

    Give it to :func:`~spectral_edge.comparison.compare` to hold an edge's curvature against that of matched
    directions. G leaves out how the outputs bend, H - G is that; for a convex loss vᵀGv is never negative.

    Args:
        model: any module with a forward-mode derivative; in eval mode.
        inputs: on which the loss is taken; a mapping may hold targets, too.
        loss: ``loss(outputs, batch) -> ()``, the mean over a batch, of what ``forward`` returns.
        parameters: what directions live in; the attention weights if left out.
        forward: ``forward(model, batch)``; the model's output, or its ``logits``, if left out.
        kind: of the two matrices.
        batch_size: inputs at once; 256 if left out.

    Raises:
        ValueError: no inputs, another kind, the model has no forward-mode derivative, or the loss is not one number.

    Cost: of a direction, about two gradients (``hessian``) or three forward passes (``gauss_newton``) of all inputs.

    >>> layer = nn.Linear(2, 1, bias=False)  # L = mean of (w·x)²/2, so H = G = mean of x xᵀ
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> bend = curvature(
    ...     layer, x, lambda y, x: y.square().mean() / 2, parameters=ParameterSubset(dict(layer.named_parameters()))
    ... )
    >>> bend(torch.tensor([0.0, 1.0]))
    2.0
    """
    if kind not in ("hessian", "gauss_newton"):
        raise ValueError(f"curvature: kind = {kind!r} is unknown; choose 'hessian' or 'gauss_newton'")
    read = default_forward if forward is None else forward
    respond = responder_of(model, inputs, parameters=parameters, forward=read, batch_size=batch_size)
    if respond.method != "jvp":
        raise ValueError(f"curvature: {type(model).__name__} cannot be differentiated in forward mode")
    size = INPUTS_AT_ONCE if batch_size is None else batch_size
    along = _hessian if kind == "hessian" else _gauss_newton
    outputs = reader(respond.model, read)
    at = {name: parameter.detach() for name, parameter in respond.parameters.parameters.items()}

    def on(batch: Inputs, tangent: Values) -> float:
        def mean(found: Tensor) -> Tensor:
            return _one_number(loss(found, batch))

        return float(along(lambda values: outputs(values, batch), mean, at, tangent))

    def of(direction: Tensor) -> float:
        pieces = respond.parameters.unflatten(direction)
        tangent = {name: piece.to(at[name]) for name, piece in pieces.items()}
        with respond.reading():
            batches = input_batches(respond.inputs, size)
            total = sum(input_count(batch) * on(batch, tangent) for batch in batches)
        return total / input_count(respond.inputs)

    return of_direction(of, f"curvature_{kind}")


Values = dict[str, Tensor]
Outputs = Callable[[Values], Tensor]
Mean = Callable[[Tensor], Tensor]


def _hessian(outputs: Outputs, mean: Mean, at: Values, along: Values) -> Tensor:
    """vᵀ(Hv), Hv by forward mode over reverse mode."""

    def loss(values: Values) -> Tensor:
        return mean(outputs(values))

    product = jvp(grad(loss), (at,), (along,))[1]
    return torch.stack([(product[name].double() * along[name].double()).sum() for name in along]).sum()


def _gauss_newton(outputs: Outputs, mean: Mean, at: Values, along: Values) -> Tensor:
    """(Jv)ᵀ H_L (Jv): the loss's own second derivative along the response."""
    here, response = jvp(outputs, (at,), (along,))[:2]
    step = torch.zeros((), dtype=here.dtype, device=here.device)

    def loss(epsilon: Tensor) -> Tensor:
        return mean(here + epsilon * response)

    return jvp(grad(loss), (step,), (torch.ones_like(step),))[1]


def _one_number(value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or value.ndim:
        found = f"has shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is a {type(value).__name__}"
        raise ValueError(f"curvature: the loss {found}; return its mean over the batch as a tensor of shape ()")
    return value
