"""How much of an update survives in the number format of the parameters."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset, spacing
from spectral_edge.recording.sources import Flag

__all__ = ["Resolution", "rounding_share", "unmoved"]

logger = logging.getLogger("spectral_edge")

_COARSE = 0.01
# Entries turned into float64 at a time.
_PIECE = 1 << 16


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
    moved = now.double() - then.double()
    stayed = float((moved == 0).sum())
    return float(spacing(now).square().sum() / 12), float(moved.square().sum()), stayed


class Resolution:
    """Warns of the first update if it is coarse, and before it once W looks have seen nothing move.

    Attributes:
        unmoved: looks that have seen nothing move, before the first update.
    """

    def __init__(self) -> None:
        self.unmoved = 0
        self._known = False

    def look(
        self, moved: Flag, unusable: Flag, values: ParameterSubset, anchor: Tensor | None, window: int, steps: int
    ) -> None:
        """Look at what has happened since the last recorded step.

        Reading flags waits for an accelerator; after the first update they are not read.

        Args:
            moved: whether anything has moved since the anchor.
            unusable: whether anything is not finite.
            values: the parameters.
            anchor: the same at the last recorded step, ``None`` if only sketches are kept.
            window: W.
            steps: training steps up to now.
        """
        if self._known:
            return
        self._known = bool(moved)
        self.unmoved += not moved
        if moved and not unusable:
            _warn_if_coarse(values, anchor)
        elif not moved and self.unmoved == window:
            logger.warning("spectral-edge: %s", unmoved(values, steps))


def _warn_if_coarse(values: ParameterSubset, anchor: Tensor | None) -> None:
    """Log a warning if rounding makes up more than 1 % of the update since the anchor.

    Args:
        values: the parameters.
        anchor: the same at the last recorded step; ``None`` if only sketches are kept, from which it cannot be told.
    """
    kinds, names = {parameter.dtype for parameter in values.parameters.values()}, _formats(values)
    if anchor is None:
        if kinds & {torch.bfloat16, torch.float16}:
            logger.warning(
                "spectral-edge: %s parameters lose updates smaller than their spacing; how much of an update that is "
                "cannot be told from sketches. Pass the float32 master weights (masters=) if the optimizer keeps any.",
                names,
            )
        return
    shares = [
        rounding_share(now, then)
        for block in values.blocks()
        for now, then in zip(block.values.split(_PIECE), anchor[block.columns].split(_PIECE), strict=True)
    ]
    if not shares:
        return
    rounding, moved, stayed = (sum(column) for column in zip(*shares, strict=True))
    error = (rounding / moved) ** 0.5 if moved else 0.0
    if error > _COARSE:
        logger.warning(
            "spectral-edge: %s parameters resolve the first recorded update only to %.0f %% of its length, and %.0f %% "
            "of their entries did not move at all. Its spectrum is that of the rounding as much as of the training: "
            "pass the float32 master weights (masters=) if the optimizer keeps any, or record less often (every=).",
            names,
            100 * error,
            100 * stayed / values.dim,
        )


def unmoved(values: ParameterSubset, steps: int) -> str:
    """What is to be said where training steps have not moved the parameters at all."""
    return (
        f"no recorded parameter has moved in {steps} training steps: they are frozen, the learning rate is 0, or "
        f"{_formats(values)} rounds every step away. Check parameters=, or pass the float32 master weights (masters=) "
        "if the optimizer keeps any"
    )


def _formats(values: ParameterSubset) -> str:
    kinds = {parameter.dtype for parameter in values.parameters.values()}
    return " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
