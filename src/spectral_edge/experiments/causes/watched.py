"""A subspace that a training arm takes out, watched: its share of updates, and how its first direction lies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spectral_edge.experiments.causes.protocol import CausesProtocol
from spectral_edge.experiments.causes.rows import cosine
from spectral_edge.intervention import RunningEdge, Subspace
from spectral_edge.intervention.subspaces import Stateless
from spectral_edge.parameters import ParameterSubset

__all__ = ["Watched"]


class Watched(Stateless):
    """A subspace from some step on; its state is not kept, as an arm is never continued.

    Args:
        subspace: what is taken out.
        after: steps before anything is.
        parameters: whose updates.
        protocol: window and stride of the edge of what is done.

    Attributes:
        asked: Σ of squared lengths of updates, and of sums of updates between two calls of :meth:`take`.
        out: the same of what was taken out.
    """

    def __init__(self, subspace: Subspace, after: int, parameters: ParameterSubset, protocol: CausesProtocol) -> None:
        self._subspace, self._after = subspace, after
        self._done = RunningEdge(parameters, protocol.arm_window, protocol.arm_stride)
        self._steps = 0
        self._theta: Tensor | None = None
        self._rows: Tensor | None = None
        self._before: Tensor | None = None  # the first direction at the last call of take
        self.asked, self.out = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        self._sums = torch.zeros(2, parameters.dim)
        self._since = torch.zeros(2, dtype=torch.float64)

    @property
    def share(self) -> float:
        """Of the squared lengths of single updates, what was taken out."""
        return _ratio(self.out[0], self.asked[0])

    @property
    def drift(self) -> float:
        """Of the squared lengths of sums of updates, what was taken out."""
        return _ratio(self.out[1], self.asked[1])

    def directions(self, theta: Tensor) -> Tensor | None:
        """As :meth:`Subspace.directions`."""
        self._theta = theta
        self._rows = self._subspace.directions(theta) if self._steps >= self._after else None
        return self._rows

    def saw(self, update: Tensor, step: int) -> None:
        """As :meth:`Subspace.saw`."""
        self._steps = step
        out = torch.zeros_like(update) if self._rows is None else (self._rows @ update) @ self._rows
        if step > self._after:
            pair = torch.stack([update, out])
            self._sums += pair
            self._since += pair.double().square().sum(1)
        self._done.saw(update - out, step)
        self._subspace.saw(update, step)

    def take(self) -> dict[str, Any]:
        """Since the last call: ``share`` and ``drift`` taken out, and how the first direction lies.

        That is |cos| to θ, to what it was at the last call (``before``), and to v1 of the updates that were done; null
        where there is none.
        """
        sums = self._sums.double().square().sum(1)
        self.asked += torch.stack([self._since[0], sums[0]])
        self.out += torch.stack([self._since[1], sums[1]])
        found: dict[str, Any] = {"share": _ratio(self._since[1], self._since[0]), "drift": _ratio(sums[1], sums[0])}
        self._sums.zero_()
        self._since.zero_()
        first = None if self._rows is None else self._rows[0]
        done = None if self._theta is None else self._done.directions(self._theta)
        others = {"theta": self._theta, "before": self._before, "done": None if done is None else done[0]}
        for name, other in others.items():
            found[f"cosine_{name}"] = None if first is None or other is None else cosine(first, other)
        self._before = first
        return found


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if whole > 0 else 0.0
