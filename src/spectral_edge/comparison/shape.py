"""How many dimensions a response has, as a statistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spectral_edge.comparison.features import effective_rank_of
from spectral_edge.comparison.statistic import Takes

__all__ = ["EffectiveRank"]


@dataclass(frozen=True)
class EffectiveRank:
    """exp(H(s²/Σs²)) of a response (N, d), s its singular values: how many dimensions it has, weighted by power.

    Source: paper, C4; :func:`~spectral_edge.representation.effective_rank`. Refused where the response is zero.

    >>> import torch
    >>> round(EffectiveRank()(torch.eye(3)), 3)
    3.0
    """

    name: ClassVar[str] = "effective_rank"
    takes: ClassVar[Takes] = "response"

    def __call__(self, response: Tensor) -> float:
        """The rank, in [1, d]."""
        return effective_rank_of(response)
