"""How much of a direction is what gradients did, and how much is weight decay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["gradient_share"]


def gradient_share(directions: Tensor, gradient: Tensor, decay: Tensor) -> NDArray[np.float64]:
    """E⟨g, v⟩²/(E⟨g, v⟩² + E⟨d, v⟩²) of each direction v, over the updates g + d of a window.

    1 where only gradients move the weights along v, 0 where only decay does; ½ where both do alike, though they may be
    opposed and the update zero. Source: 2604.07380.

    Args:
        directions: (k, D).
        gradient, decay: (W, D) parts of the updates, as ``recorder.edge(of=…)`` has them.

    Returns:
        (k,); NaN where neither part moves along v.

    Raises:
        ValueError: the parts differ in shape.

    >>> import torch
    >>> v = torch.eye(2)
    >>> gradient_share(v, torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 2.0]])).tolist()
    [0.9, 0.0]
    """
    if gradient.shape != decay.shape:
        raise ValueError(
            f"gradient_share: gradient {tuple(gradient.shape)} and decay {tuple(decay.shape)} differ in shape; "
            "they are the two parts of one window"
        )
    along = directions.detach().double().T
    parts = (part.detach().double() for part in (gradient, decay))
    of_gradient, of_decay = (np.square((part @ along).cpu().numpy()).mean(0) for part in parts)
    with np.errstate(invalid="ignore"):
        return of_gradient / (of_gradient + of_decay)
