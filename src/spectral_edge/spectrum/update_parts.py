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

    >>> import torch
    >>> v = torch.eye(2)
    >>> gradient_share(v, torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 2.0]])).tolist()
    [0.9, 0.0]
    """
    along = directions.double().T
    of_gradient, of_decay = (np.square((part.double() @ along).cpu().numpy()).mean(0) for part in (gradient, decay))
    with np.errstate(invalid="ignore"):
        return of_gradient / (of_gradient + of_decay)
