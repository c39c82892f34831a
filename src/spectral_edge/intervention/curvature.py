"""How a loss bends along a direction: is an edge a direction of learning, or a flat valley?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from spectral_edge.comparison import Statistic, of_direction
from spectral_edge.modes import Forward, Inputs, Responder, default_forward, input_batches, input_count, responder_of
from spectral_edge.parameters import ParameterSubset

__all__ = ["curvature"]

Loss = Callable[[Tensor, Inputs], Tensor]


def curvature(
    model: nn.Module,
    inputs: Inputs | np.ndarray,
    loss: Loss,
    *,
    parameters: ParameterSubset | None = None,
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
    size = batch_size or 256
    along = _hessian if kind == "hessian" else _gauss_newton

    def of(direction: Tensor) -> float:
        tangent = respond.parameters.unflatten(direction.to(next(iter(respond.parameters.parameters.values()))))
        total, count = 0.0, 0
        with respond.reading():
            for batch in input_batches(respond.inputs, size):
                n = input_count(batch)
                total += n * float(along(respond, read, loss, batch, tangent))
                count += n
        return total / count

    return of_direction(of, f"curvature_{kind}")


Tangent = dict[str, Tensor]


class _Bound(nn.Module):
    """``forward(model, batch)`` as a function of the parameters' values."""

    def __init__(self, model: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.model = model
        self._forward = forward

    def forward(self, batch: Inputs) -> Tensor:
        return self._forward(self.model, batch)


def _outputs(respond: Responder, read: Forward, batch: Inputs) -> tuple[Callable[[Tangent], Tensor], Tangent]:
    bound = _Bound(respond.model, read)
    values = {f"model.{name}": p.detach() for name, p in respond.parameters.parameters.items()}
    return lambda subset: functional_call(bound, subset, (batch,)), values


def _hessian(respond: Responder, read: Forward, loss: Loss, batch: Inputs, tangent: Tangent) -> Tensor:
    """vᵀ(Hv), Hv by forward mode over reverse mode."""
    outputs, values = _outputs(respond, read, batch)
    along = {f"model.{name}": piece for name, piece in tangent.items()}

    def mean(subset: Tangent) -> Tensor:
        return _one_number(loss(outputs(subset), batch))

    product = jvp(grad(mean), (values,), (along,))[1]
    return torch.stack([(product[name].double() * along[name].double()).sum() for name in along]).sum()


def _gauss_newton(respond: Responder, read: Forward, loss: Loss, batch: Inputs, tangent: Tangent) -> Tensor:
    """(Jv)ᵀ H_L (Jv): the loss's own second derivative along the response."""
    outputs, values = _outputs(respond, read, batch)
    along = {f"model.{name}": piece for name, piece in tangent.items()}
    at, response = jvp(outputs, (values,), (along,))[:2]
    step = torch.zeros((), dtype=at.dtype, device=at.device)

    def moved(epsilon: Tensor) -> Tensor:
        return _one_number(loss(at + epsilon * response, batch))

    return jvp(grad(moved), (step,), (torch.ones_like(step),))[1]


def _one_number(value: Tensor) -> Tensor:
    if value.ndim:
        raise ValueError(f"curvature: the loss has shape {tuple(value.shape)}; return its mean over the batch, ()")
    return value
