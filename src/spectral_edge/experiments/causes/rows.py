"""What rows of the evidence on causes keep: the draws of a null, and how directions lie to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rows", "cosine", "of_draws"]

Rows = list[dict[str, Any]]


def of_draws(values: NDArray[np.float64]) -> dict[str, Any]:
    """Columns ``null_mean``, ``null_std`` and ``drawn``: every draw, to six digits."""
    drawn = [float(f"{value:.6g}") for value in values]
    return {"null_mean": float(values.mean()), "null_std": float(values.std()), "drawn": drawn}


def cosine(x: Tensor, y: Tensor) -> float:
    """|cos| of two directions, in float64."""
    x, y = x.double(), y.double()
    return abs(float(x @ y / (x.norm() * y.norm())))
