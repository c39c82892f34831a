"""Which part of a change of logits lies at the frequencies that the model itself uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.bases import discrete_log_table, grouping
from spectral_edge.grokking import ModularTask
from spectral_edge.subjects import BASIS

__all__ = ["OwnFrequencies"]


@dataclass(frozen=True, eq=False)
class OwnFrequencies:
    """The frequencies of a model's logits as functions of candidate minus answer, in its own group.

    For input n with group value q_n, and d in Z_M, the candidate of value q_n + d has the logit z(n, d). A model that
    has learned the group has a sharp peak at d = 0. With z̄(d) the mean over inputs, the power at ω is
    2 |Σ_d z̄(d) e^{-2πiωd/M} / M|² (half at ω = M/2): the powers sum to the variance of z̄ over d.

    Attributes:
        candidates: (N, M), the class of value q_n + d.
        frequencies: of the model's own logits, ascending.
    """

    candidates: Tensor
    frequencies: tuple[int, ...]

    @classmethod
    def of(cls, task: ModularTask, logits: Tensor, pairs: NDArray[np.int64], power: float) -> OwnFrequencies:
        """Find the frequencies of a model.

        Args:
            task: one operation that the paper reads in a basis of its own.
            logits: (N, p) of the model.
            pairs: (N, 2) its inputs.
            power: share of the power of the logits that the model's own frequencies have, the fewest that do.

        Raises:
            KeyError: the operation has no basis.
        """
        q = grouping(BASIS[task.name], task.p)
        classes = np.arange(task.p)
        values = discrete_log_table(task.p)[classes] if q.name == "discrete_log" else classes
        of_value = np.zeros(q.order, dtype=np.int64)  # the class that has each value; 0 has no logarithm
        of_value[values[values >= 0]] = classes[values >= 0]
        candidates = torch.from_numpy(of_value[(q(pairs)[:, None] + np.arange(q.order)) % q.order])
        found = cls(candidates, ())._power(logits)
        order = np.argsort(-found)
        count = int(np.searchsorted(np.cumsum(found[order]), power * found.sum())) + 1
        return cls(candidates, tuple(sorted((order[:count] + 1).tolist())))

    def share(self, change: Tensor) -> float:
        """Of the variance of a change of logits (N, p) over inputs and candidates, the part at these frequencies.

        In [0, 1]; each input's mean is subtracted first, as a softmax does not see it. NaN where nothing changes.
        """
        total = float(self._centred(change).square().mean())
        return math.nan if total == 0 else float(self._power(change)[[f - 1 for f in self.frequencies]].sum() / total)

    def log_size(self, change: Tensor) -> float:
        """Logarithm of the root mean square of a change; minus infinity where nothing changes."""
        total = float(self._centred(change).square().mean())
        return 0.5 * math.log(total) if total > 0 else -math.inf

    def _centred(self, logits: Tensor) -> Tensor:
        found = logits.double().gather(1, self.candidates)
        return found - found.mean(1, keepdim=True)

    def _power(self, logits: Tensor) -> NDArray[np.float64]:
        """Power at ω = 1 … ⌊M/2⌋ of the mean over inputs."""
        mean = self._centred(logits).mean(0).numpy()
        power = 2 * np.abs(np.fft.rfft(mean) / len(mean)) ** 2
        if len(mean) % 2 == 0:
            power[-1] /= 2
        return np.asarray(power[1:])
