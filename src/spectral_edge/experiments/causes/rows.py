"""What a row of the evidence on causes keeps of the draws of a null."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "of_draws"]

Rows = list[dict[str, Any]]


def of_draws(values: NDArray[np.float64]) -> dict[str, Any]:
    """Columns ``null_mean``, ``null_std`` and ``drawn``: every draw, to six digits."""
    drawn = [float(f"{value:.6g}") for value in values]
    return {"null_mean": float(values.mean()), "null_std": float(values.std()), "drawn": drawn}
