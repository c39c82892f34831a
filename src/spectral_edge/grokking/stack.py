"""Models of one shape side by side in memory, so that one pass gives the gradients of all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectral_edge.grokking.gradient import Layout, clipped_gradient
from spectral_edge.grokking.transformer import ModularTransformer

__all__ = ["ModelStack"]

_LOG = logging.getLogger(__name__)
_Gradient = Callable[[Layout, int, float, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
# Shapes that one process may compile for: which came before must not decide how a run is computed. Torch's own limit
# of 8 is meant for shapes that change by mistake.
_SHAPES = 100_000


class ModelStack:
    """S models of one shape whose parameters are rows of one (S, n) tensor, and their gradients of another.

    The models stay what they are: their parameters become views of the rows, and optimizers, recorders and this
    project's checkpoints see no difference. (``torch.save`` of a view writes all rows.) Moving a model to another
    device or number format is noticed, and the stack is made again from its present values. Hooks on modules are not
    called, and frozen parameters get no gradient.

    Args:
        models: at least one; all of one shape, on one device.
        max_norm: largest norm of a model's gradient.
        compiled: fuse the arithmetic with ``torch.compile``: about a sixth off a step of the paper's model, after
            some seconds, or half a minute the first time on a machine. Without a compiler it says so and goes on
            without. Last bits depend on it.

    Raises:
        ValueError: the models differ in shape or number of heads.
    """

    def __init__(self, models: Sequence[ModularTransformer], max_norm: float, compiled: bool = False) -> None:
        self._models = list(models)
        self._max_norm = max_norm
        self._gradient = _compiled() if compiled else clipped_gradient
        self.layout: Layout = _layout(models[0])
        if any(_layout(model) != self.layout or model.n_heads != models[0].n_heads for model in models):
            raise ValueError("ModelStack: models of one stack must have one shape, and as many heads")
        self._gather()

    def gradients(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Write each model's clipped gradient into its parameters' ``.grad``; returns the losses (S,).

        Arguments as of :func:`spectral_edge.grokking.gradient.loss_and_gradient`.
        """
        if self._addresses() != self._gathered:
            self._gather()
        with torch.no_grad():
            gradient, loss = self._gradient(
                self.layout, self._models[0].n_heads, self._max_norm, self._parameters, rows, labels
            )
        for model, own in zip(self._models, gradient, strict=True):
            for parameter, values in zip(model.parameters(), self._cut(own), strict=True):
                parameter.grad = values if parameter.requires_grad else None
        return loss

    def _gather(self) -> None:
        """Put the parameters of all models into one tensor, and let the models look at their rows of it."""
        with torch.no_grad():
            self._parameters = torch.stack(
                [torch.cat([parameter.flatten() for parameter in model.parameters()]) for model in self._models]
            )
        for model, own in zip(self._models, self._parameters, strict=True):
            for parameter, values in zip(model.parameters(), self._cut(own), strict=True):
                parameter.data = values
        self._gathered = self._addresses()

    def _addresses(self) -> list[tuple[int, torch.dtype]]:
        return [(parameter.data_ptr(), parameter.dtype) for model in self._models for parameter in model.parameters()]

    def _cut(self, own: Tensor) -> list[Tensor]:
        """One model's row as views of its parameters' shapes."""
        sizes = [torch.Size(shape).numel() for _, shape in self.layout]
        return [piece.view(shape) for piece, (_, shape) in zip(own.split(sizes), self.layout, strict=True)]


def _layout(model: ModularTransformer) -> Layout:
    return tuple((name, tuple(parameter.shape)) for name, parameter in model.named_parameters())


def _compiled() -> _Gradient:
    """:func:`clipped_gradient` through ``torch.compile``, or as it is where there is no compiler."""
    torch._dynamo.config.recompile_limit = _SHAPES
    torch._dynamo.config.accumulated_recompile_limit = _SHAPES
    fused = torch.compile(clipped_gradient, fullgraph=True, dynamic=False)
    chosen: _Gradient = fused

    def gradient(
        layout: Layout, n_heads: int, max_norm: float, parameters: Tensor, rows: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        nonlocal chosen
        try:
            return chosen(layout, n_heads, max_norm, parameters, rows, labels)
        except torch._dynamo.exc.TorchDynamoException as problem:
            why = str(problem).strip().split("\n")[0]
            _LOG.warning("spectral-edge: steps are not compiled, and a sixth slower: %s", why)
            chosen = clipped_gradient
            return chosen(layout, n_heads, max_norm, parameters, rows, labels)

    return gradient
