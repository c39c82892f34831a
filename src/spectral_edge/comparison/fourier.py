"""Statistics of responses over inputs with cyclic labels: concentration, share of variance, peakedness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from spectral_edge.comparison.features import computed_once, energy_of, scores_of
from spectral_edge.comparison.statistic import Takes
from spectral_edge.statistics import FourierProfile, fourier_profile, partition

__all__ = ["Concentration", "CyclicStatistic", "Peakedness", "VarianceShare"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class CyclicStatistic:
    """A number of the spectrum of a function of the input over groups; a subclass says which number.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.
        component: the function is the scores on this principal component of the response, from 1; ``None`` for
            f(x) = ||response(x)||². All inputs take part in the components, those labelled -1 too.
    """

    labels: ArrayLike
    order: int
    component: int | None = None

    name: ClassVar[str]
    takes: ClassVar[Takes] = "response"

    def of_profile(self, profile: FourierProfile) -> Floats:
        """The number (n,) of each of n functions, from the spectra of their group means."""
        raise NotImplementedError

    def profile(self, response: Tensor) -> FourierProfile:
        """The spectrum of a response (N, d); computed once for all statistics that share ``labels``.

        Raises:
            ValueError: labels do not fit the response or the order.
        """
        labels = self._labels
        if len(labels) != len(response):
            raise ValueError(f"{type(self).__name__}: {len(labels)} labels for {len(response)} inputs")
        # A function of a subclass may read fields of its own: nobody shares its profile. What has an id is kept with
        # the profile, so that nothing else can come to have it.
        shared = type(self).function is CyclicStatistic.function
        key = ("profile", self.component, self.order, id(labels) if shared else id(self))
        return computed_once(
            response, key, lambda: (fourier_profile(self.function(response), labels, self.order), labels, self)
        )[0]

    def function(self, response: Tensor) -> Floats:
        """The function of the input, (N,), whose group means are taken."""
        return energy_of(response) if self.component is None else scores_of(response, self.component)

    def __call__(self, response: Tensor) -> float:
        """The number of a response (N, d)."""
        return float(self.of_profile(self.profile(response))[0])

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Exchange whole groups: every input of group q gets the label π(q), π a random permutation of the groups.

        Inputs are not exchangeable one by one, as f(a, b) depends on a and b; the groups of a cyclic grouping are, if
        the response knows nothing of their order.
        """
        names = _permutations(self.order, generator, 1)
        return lambda response: float(self.of_profile(self.profile(response).renamed(names))[0])

    def permuted_values(self, response: Tensor, generator: np.random.Generator, n: int) -> Floats:
        """(n,) values, the groups exchanged at random for each."""
        return self.of_profile(self.profile(response).renamed(_permutations(self.order, generator, n)))

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        labels = np.asarray(self.labels.cpu() if isinstance(self.labels, Tensor) else self.labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be (N,) integers, one an input, not {labels.dtype} of shape {labels.shape}")
        partition(labels, self.order, len(labels))  # refuses labels outside -1 … M-1
        return labels

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._labels)} labels, order={self.order})"


@dataclass(frozen=True, eq=False, repr=False)
class Concentration(CyclicStatistic):
    """Fourier concentration F of a function averaged over groups: max_ω power / Σ_ω power, ω = 1 … M//2.

    NaN, and so refused, where all group means agree. Source: paper, section 1;
    :func:`~spectral_edge.statistics.fourier_profile`.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.
        component: principal component of the response whose scores are averaged; ``None`` for ||response(x)||².

    >>> labels = np.arange(70) % 7
    >>> one_mode = torch.tensor(2 + np.cos(2 * np.pi * 3 * labels / 7)).sqrt()[:, None]
    >>> round(Concentration(labels, 7)(one_mode), 3)
    1.0
    """

    name: ClassVar[str] = "concentration"

    def of_profile(self, profile: FourierProfile) -> Floats:
        """F."""
        return profile.concentration


@dataclass(frozen=True, eq=False, repr=False)
class VarianceShare(CyclicStatistic):
    """Share of the variance of a principal component of the response that is a function of the group.

    Variance between groups over total variance of the scores on the component, over inputs with a label. It does not
    depend on the order of the groups, so the null ``inputs`` leaves it as it is: no effect, p = 1.

    Args:
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.
        component: which principal component of the column-centred response, from 1; ``None`` for ||response(x)||².

    >>> labels = np.arange(70) % 7
    >>> round(VarianceShare(labels, 7)(torch.tensor(labels**2, dtype=torch.float64)[:, None]), 3)
    1.0
    """

    component: int | None = 1

    name: ClassVar[str] = "variance_share"

    def of_profile(self, profile: FourierProfile) -> Floats:
        """The share, in [0, 1]."""
        return profile.variance_share


@dataclass(frozen=True, eq=False, repr=False)
class Peakedness(CyclicStatistic):
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

    component: None = field(default=None, init=False)

    name: ClassVar[str] = "peakedness"

    def function(self, response: Tensor) -> Floats:
        """Projections on the first right singular vector of the response at inputs with a label; 0 at others."""
        known = torch.from_numpy(np.flatnonzero(self._labels >= 0))
        scores = np.zeros(len(response))
        scores[known.numpy()] = _first_scores(response[known.to(response.device)].double()).cpu().numpy()
        return scores

    def of_profile(self, profile: FourierProfile) -> Floats:
        """The ratio, in [1, M//2]."""
        power = self.power(profile)
        return power.max(axis=1) / power.mean(axis=1)

    def power(self, profile: FourierProfile) -> Floats:
        """(n, M//2) P(ω) of each of n functions; sums over inputs are sums over groups, n_q inputs each."""
        counts = np.atleast_2d(profile.counts)
        sums = profile.group_means * counts
        sums -= counts * sums.sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
        angle = 2 * np.pi * np.outer(np.arange(1, self.order // 2 + 1), np.arange(self.order)) / self.order
        return _along(np.cos(angle), sums, counts) + _along(np.sin(angle), sums, counts)


def _permutations(order: int, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
    """(n, M) permutations of 0 … M-1."""
    return generator.permuted(np.tile(np.arange(order), (n, 1)), axis=1)


def _first_scores(rows: Tensor) -> Tensor:
    """σ_1 u_1 of rows (N, d), from the smaller of the two Gram matrices."""
    if rows.shape[1] > len(rows):
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        return vectors[:, -1] * values[-1].clamp_min(0).sqrt()
    return rows @ torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]


def _along(waves: Floats, sums: Floats, counts: NDArray[np.int64]) -> Floats:
    """⟨s, w⟩² / ||w||² over inputs, (n, ω); 0 for a wave that vanishes on them, as sin(πq) does."""
    norms = counts @ (waves**2).T
    vanishes = norms <= 1e-9 * counts.sum(axis=1, keepdims=True)
    return np.where(vanishes, 0.0, (sums @ waves.T) ** 2 / np.where(vanishes, 1.0, norms))
