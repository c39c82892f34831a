"""Statistics of responses over inputs with cyclic labels: concentration, share of variance, peakedness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from spectral_edge.comparison.statistic import Takes
from spectral_edge.modes import mode_energy
from spectral_edge.representation import principal_scores
from spectral_edge.statistics import Partition, fourier_profile, partition

__all__ = ["Concentration", "Peakedness", "VarianceShare"]


@dataclass(frozen=True, eq=False, repr=False)
class _Cyclic:
    """Inputs with labels in a cyclic group.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.
    """

    labels: ArrayLike
    order: int

    takes: ClassVar[Takes] = "response"

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        labels = np.asarray(self.labels.cpu() if isinstance(self.labels, Tensor) else self.labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be (N,) integers, one an input, not {labels.dtype} of shape {labels.shape}")
        return labels

    def _checked(self, response: Tensor) -> NDArray[np.int64]:
        if len(self._labels) != len(response):
            raise ValueError(f"{type(self).__name__}: {len(self._labels)} labels for {len(response)} inputs")
        _ = self._partition
        return self._labels

    @cached_property
    def _partition(self) -> Partition:
        return partition(self._labels, self.order, len(self._labels))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._labels)} labels, order={self.order})"

    def permute_labels(self, generator: np.random.Generator) -> Self:
        """Exchange whole groups: every input of group q gets the label π(q), π a random permutation of the groups.

        Inputs are not exchangeable one by one, as f(a, b) depends on a and b; the groups of a cyclic grouping are, if
        the response knows nothing of their order.
        """
        renamed = np.append(generator.permutation(self.order), -1)  # label -1 stays
        return replace(self, labels=renamed[self._labels])


@dataclass(frozen=True, eq=False, repr=False)
class Concentration(_Cyclic):
    """Fourier concentration F of f(x) = ||response(x)||² averaged over groups: max_ω power / Σ_ω power, ω = 1 … M//2.

    NaN, and so refused, where all group means agree. Source: paper, section 1;
    :func:`~spectral_edge.statistics.fourier_profile`.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.

    >>> labels = np.arange(70) % 7
    >>> one_mode = torch.tensor(2 + np.cos(2 * np.pi * 3 * labels / 7)).sqrt()[:, None]
    >>> round(Concentration(labels, 7)(one_mode), 3)
    1.0
    """

    name: ClassVar[str] = "concentration"

    def __call__(self, response: Tensor) -> float:
        """F of a response (N, d)."""
        energy = mode_energy(response[None]).cpu().numpy()
        return float(fourier_profile(energy, self._checked(response), self.order).concentration[0])


@dataclass(frozen=True, eq=False, repr=False)
class VarianceShare(_Cyclic):
    """Share of the variance of a principal component of the response that is a function of the group.

    Variance between groups over total variance of the scores on the component, over inputs with a label. It does not
    depend on the order of the groups, so the null ``inputs`` leaves it as it is: no effect, p = 1.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.
        component: which principal component of the column-centred response, from 1.

    >>> labels = np.arange(70) % 7
    >>> round(VarianceShare(labels, 7)(torch.tensor(labels**2, dtype=torch.float64)[:, None]), 3)
    1.0
    """

    component: int = 1

    name: ClassVar[str] = "variance_share"

    def __call__(self, response: Tensor) -> float:
        """The share, in [0, 1], of a response (N, d)."""
        scores = principal_scores(response[None], self.component)[0, self.component - 1]
        return float(fourier_profile(scores.cpu().numpy(), self._checked(response), self.order).variance_share[0])


@dataclass(frozen=True, eq=False, repr=False)
class Peakedness(_Cyclic):
    """Peak over mean of the power of the response's first singular direction: max_ω P(ω) / mean_ω P(ω), ω = 1 … M//2.

    The response (N, d), not centred, is projected on its first right singular vector; the mean is subtracted, and
    P(ω) = ⟨s, cos(2πωq/M)⟩² / ||cos||² + ⟨s, sin(2πωq/M)⟩² / ||sin||² over the inputs, not over group means. Source:
    the paper's script for C4; its text has f(x) = ||response(x)||² instead, for which see :class:`Concentration`.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.

    >>> labels = np.arange(70) % 7
    >>> round(Peakedness(labels, 7)(torch.tensor(np.cos(2 * np.pi * 3 * labels / 7))[:, None]), 3)
    3.0
    """

    name: ClassVar[str] = "peakedness"

    def __call__(self, response: Tensor) -> float:
        """The ratio, in [1, M//2], of a response (N, d)."""
        labels = self._checked(response)
        known = torch.from_numpy(np.flatnonzero(labels >= 0)).to(response.device)
        scores = _first_scores(response[known].double()).cpu().numpy()
        scores = scores - scores.mean()
        angle = 2 * np.pi * np.outer(np.arange(1, self.order // 2 + 1), labels[labels >= 0]) / self.order
        power = _share(np.cos(angle), scores) + _share(np.sin(angle), scores)
        return float(power.max() / power.mean())


def _first_scores(rows: Tensor) -> Tensor:
    """σ_1 u_1 of rows (N, d), from the smaller of the two Gram matrices."""
    if rows.shape[1] > len(rows):
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        return vectors[:, -1] * values[-1].clamp_min(0).sqrt()
    return rows @ torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]


def _share(waves: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """⟨s, w⟩² / ||w||²; 0 for a wave that vanishes on the inputs, as sin(πq) does."""
    norms = (waves**2).sum(axis=1)
    return np.where(norms > 1e-9 * waves.shape[1], (waves @ scores) ** 2 / np.maximum(norms, 1e-300), 0.0)
