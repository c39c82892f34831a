"""How much of an update survives in the number format of the parameters."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset

__all__ = ["rounding_share", "warn_if_coarse"]

logger = logging.getLogger("spectral_edge")

_COARSE = 0.01


def rounding_share(now: Tensor, then: Tensor) -> tuple[float, float, float]:
    """Squared length of the rounding in ``now``, of the update ``now - then``, and the number of entries that stayed.

    A number of a format with spacing u around it is off by u / √12 in the mean square. The square root of the ratio of
    the first two, over all parameters, is the relative error of the update.

    Args:
        now: parameters, any floating-point type.
        then: the same before.

    >>> step = torch.tensor([2.0**-7, 2.0**-9], dtype=torch.bfloat16)  # spacing of bfloat16 at 1: 2^-7
    >>> then = torch.ones(2, dtype=torch.bfloat16)
    >>> rounding_share(then + step, then)[2]
    1.0
    """
    exponent = torch.frexp(now.float())[1]
    spacing = torch.finfo(now.dtype).eps * torch.exp2(exponent.double() - 1)
    moved = now.double() - then.double()
    stayed = float((moved == 0).sum())
    return float(spacing.square().sum() / 12), float(moved.square().sum()), stayed


def warn_if_coarse(values: ParameterSubset, anchor: Tensor) -> None:
    """Log a warning if rounding makes up more than 1 % of the update since the anchor; nothing for sketches."""
    if len(anchor) != values.dim:
        return
    shares = [rounding_share(block.values, anchor[block.columns]) for block in values.blocks()]
    rounding, moved, stayed = (sum(column) for column in zip(*shares, strict=True))
    error = (rounding / moved) ** 0.5 if moved else 0.0
    if error > _COARSE:
        names = {str(parameter.dtype).removeprefix("torch.") for parameter in values.parameters.values()}
        logger.warning(
            "spectral-edge: %s parameters resolve the first recorded update only to %.0f %% of its length, and %.0f %% "
            "of their entries did not move at all. Its spectrum is that of the rounding as much as of the training: "
            "pass the float32 master weights (masters=) if the optimizer keeps any, or record less often (every=).",
            " and ".join(sorted(names)),
            100 * error,
            100 * stayed / values.dim,
        )
