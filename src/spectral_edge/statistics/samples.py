"""Checked samples: one dimension, enough values, every one of them finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_sample", "check_level"]


def as_sample(values: ArrayLike, name: str, least: int = 1) -> NDArray[np.float64]:
    """Return ``values`` as (n,) float64.

    Args:
        values: (n,) finite numbers.
        name: What to call them in an error.
        least: The smallest n that will do.

    Returns:
        (n,) float64.

    Raises:
        ValueError: The shape is another, there are fewer than ``least``, or a value is NaN or infinite.
    """
    sample = np.array(values, dtype=np.float64)  # None becomes NaN
    if sample.ndim != 1 or len(sample) < least:
        raise ValueError(f"{name} must have shape (n,) with n at least {least}, not {sample.shape}")
    refused = np.flatnonzero(~np.isfinite(sample))
    if refused.size:
        raise ValueError(f"{name}[{refused[0]}] is {sample[refused[0]]}; drop it, or find where it became so")
    return sample


def check_level(level: float) -> None:
    """Refuse a level of confidence outside (0, 1).

    Args:
        level: The probability that the interval covers what it is an interval of.

    Raises:
        ValueError: ``level`` is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is not between 0 and 1; a 95 % interval has level = 0.95")
