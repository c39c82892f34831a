"""Models of one shape side by side in memory, so that one pass gives the gradients of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectral_edge.grokking.gradient import clipped_gradient
from spectral_edge.grokking.products import one_thread
from spectral_edge.grokking.transformer import ModularTransformer

__all__ = ["ModelStack"]


class ModelStack:
    """S models of one shape whose parameters are rows of one (S, n) tensor, and their gradients of another.

    The models stay what they are: their parameters become views of the rows, and optimizers, recorders and this
    project's checkpoints see no difference. (``torch.save`` of a view writes all rows.) Moving a model to another
    device or number format is noticed, and the stack is made again from its present values. Hooks on modules are not
    called, and frozen parameters get no gradient.

    Args:
        models: at least one; all of one shape, on one device.
        max_norm: largest norm of a model's gradient.

    Raises:
        ValueError: the models differ in shape or number of heads.
    """

    def __init__(self, models: Sequence[ModularTransformer], max_norm: float) -> None:
        self._models = list(models)
        self._max_norm = max_norm
        self._layout = _layout(models[0])
        if any(_layout(model) != self._layout or model.n_heads != models[0].n_heads for model in models):
            raise ValueError("ModelStack: models of one stack must have one shape, and as many heads")
        self._gather()

    def gradients(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Write each model's clipped gradient into its parameters' ``.grad``; returns the losses (S,).

        Arguments as of :func:`spectral_edge.grokking.gradient.loss_and_gradient`.
        """
        if self._addresses() != self._gathered:
            self._gather()
        with torch.no_grad(), one_thread():
            loss = clipped_gradient(
                self._weights, self._derivatives, self._gradient, self._models[0].n_heads, self._max_norm, rows, labels
            )
        for model, own in zip(self._models, self._grads, strict=True):
            for parameter, values in zip(model.parameters(), own, strict=True):
                parameter.grad = values if parameter.requires_grad else None
        return loss

    def _gather(self) -> None:
        """Put the parameters of all models into one tensor, and let the models look at their rows of it."""
        with torch.no_grad():
            parameters = torch.stack(
                [torch.cat([parameter.flatten() for parameter in model.parameters()]) for model in self._models]
            )
        self._gradient = torch.empty_like(parameters)
        self._weights, self._derivatives = self._cut(parameters), self._cut(self._gradient)
        self._grads = [[whole[s] for whole in self._derivatives.values()] for s in range(len(self._models))]
        for s, model in enumerate(self._models):
            for parameter, whole in zip(model.parameters(), self._weights.values(), strict=True):
                parameter.data = whole[s]
        self._gathered = self._addresses()

    def _addresses(self) -> list[tuple[int, torch.dtype]]:
        return [(parameter.data_ptr(), parameter.dtype) for model in self._models for parameter in model.parameters()]

    def _cut(self, flat: Tensor) -> dict[str, Tensor]:
        """(S, n) as views (S, *shape) by the names of the parameters."""
        sizes = [torch.Size(shape).numel() for _, shape in self._layout]
        pieces = zip(self._layout, flat.split(sizes, dim=1), strict=True)
        return {name: piece.unflatten(1, shape) for (name, shape), piece in pieces}


def _layout(model: ModularTransformer) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(parameter.shape)) for name, parameter in model.named_parameters())
