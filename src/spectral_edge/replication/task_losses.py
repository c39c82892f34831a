"""How the losses of the tasks that one trunk serves change along a direction, read from the direction's response."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.representation import loss_derivatives, loss_gradient

__all__ = ["loss_changes"]


def loss_changes(
    model: ModularTransformer, tasks: Sequence[ModularTask], inputs: np.ndarray | slice = slice(None)
) -> Callable[[Tensor], Tensor]:
    """The function of a response (N, d) that gives the derivative of each task's loss at each input, (tasks, N).

    Args:
        model: at the weights where the response is taken.
        tasks: which have the same pairs.
        inputs: which of the pairs the response is to.
    """
    residual = model.residual(torch.from_numpy(tasks[0].pairs[inputs]))
    # The paths of all tasks to their losses part after the residual stream: one response serves them all.
    gradients = [
        loss_gradient(
            nn.Sequential(model.ln, model.head_of(task.name)), residual, torch.from_numpy(task.labels[inputs])
        )
        for task in tasks
    ]
    return lambda response: torch.cat([loss_derivatives(response[None].cpu(), gradient) for gradient in gradients])
