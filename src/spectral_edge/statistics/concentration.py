"""Fourier concentration F of a function's group averages, and what it is for white noise."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.statistics.partition import as_modes, partition
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["FourierProfile", "expected_concentration", "fourier_profile"]

Floats = NDArray[np.float64]

# Amplitudes below this share of max|f| are rounding: about 64 float64 epsilons, far above what centring and
# averaging leave of a constant and far below anything a float32 network can show.
_ROUNDING = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False, repr=False)
class FourierProfile(Tabular):
    """The 1-D spectrum of k functions averaged over the groups of one grouping.

    Attributes:
        power: (k, M//2) raw |rfft(group means)|² at ω = 1 … M//2; column j is ω = j+1.
        variance_share: (k,) between-group variance / total variance, over the inputs that have a label;
            NaN for a constant f.
        group_means: (k, M), the averages f̄[q].
        counts: (M,) inputs in each group; (n, M) of :meth:`renamed` profiles.
        flat: (k,) True where all group means agree to rounding and there is no spectrum to read.
    """

    power: Floats
    variance_share: Floats
    group_means: Floats
    counts: NDArray[np.int64]
    flat: NDArray[np.bool_]

    @property
    def peak(self) -> NDArray[np.int64]:
        """(k,) the frequency ω in 1 … M//2 of most power (the lowest of equals); 0 where flat."""
        return np.where(self.flat, 0, self.power.argmax(axis=1) + 1)

    @property
    def concentration(self) -> Floats:
        """(k,) F = max_ω power / Σ_ω power, in [1/(M//2), 1]; NaN where flat."""
        return self.power.max(axis=1) / np.where(self.flat, np.nan, self.power.sum(axis=1))

    @property
    def peakedness(self) -> Floats:
        """(k,) max_ω power / mean_ω power = F · (M//2); NaN where flat."""
        return self.concentration * self.power.shape[1]

    def strongest(self, n: int) -> NDArray[np.int64]:
        """List the ``n`` strongest frequencies of each function, strongest first.

        Args:
            n: How many, in 1 … M//2.

        Returns:
            (k, n) frequencies in 1 … M//2; 0 where flat.

        Raises:
            ValueError: ``n`` is out of range.
        """
        if not 1 <= n <= self.power.shape[1]:
            raise ValueError(f"n = {n} frequencies asked for; there are {self.power.shape[1]}")
        ranked = np.argsort(-self.power, axis=1, kind="stable")[:, :n] + 1
        return np.where(self.flat[:, None], 0, ranked)

    def renamed(self, names: ArrayLike) -> FourierProfile:
        """The profiles of one function when the inputs of group q are given the label ``names[i, q]``, i = 0 … n-1.

        Whole groups are exchanged, so group means are; the spectrum changes, the variance share does not.

        Args:
            names: (n, M) permutations of 0 … M-1.

        Returns:
            Profiles of n functions; their ``counts`` are (n, M).

        Raises:
            ValueError: there are several functions.

        >>> labels = np.arange(70) % 7
        >>> profile = fourier_profile(np.cos(2 * np.pi * labels / 7), labels, 7)
        >>> profile.renamed([3 * np.arange(7) % 7])  # q -> 3q turns ω = 1 into 1/3 mod 7 = 5, which is -2
        FourierProfile(k=1, M=7; F@ω: 1.000@2)
        """
        if len(self.power) != 1:
            raise ValueError(f"renamed: the profile is of {len(self.power)} functions; take one")
        group = np.argsort(names, axis=1)  # whose inputs come to have each label
        means = self.group_means[0, group]
        centred = means - means.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(centred)[:, 1 : means.shape[1] // 2 + 1]) ** 2
        share, flat = np.repeat(self.variance_share, len(means)), np.repeat(self.flat, len(means))
        return FourierProfile(power, share, means, self.counts[group], flat)

    def to_polars(self) -> polars.DataFrame:
        """Tabulate the profile: one row per function."""
        import polars  # on call: importing the library should not wait for a table package

        columns = ("peak", "concentration", "peakedness", "variance_share")
        return polars.DataFrame({"mode": np.arange(len(self.power)), **{name: getattr(self, name) for name in columns}})

    def __repr__(self) -> str:
        shown = ", ".join(f"{f:.3f}@{w}" for f, w in zip(self.concentration[:3], self.peak[:3], strict=True))
        more = ", …" if len(self.power) > 3 else ""
        return f"FourierProfile(k={len(self.power)}, M={self.group_means.shape[1]}; F@ω: {shown}{more})"


def fourier_profile(values: ArrayLike, labels: ArrayLike, order: int) -> FourierProfile:
    """Average f over groups and take its spectrum: F = max_ω |f̂(ω)|² / Σ_ω |f̂(ω)|², f̂ = DFT of f̄[q].

    f̄[q] is the mean of f over inputs with label q, and ω runs over 1 … M//2: the constant part is left out.
    F does not change if f is scaled, shifted, or q is multiplied by a unit mod M. It says nothing of how
    much of f the grouping explains; ``variance_share`` does. Source: paper section 1 and section 4, item 6.

    A group without inputs has no mean: it takes the average of the other means, which adds least to the
    spectrum, and ``counts`` shows it. This is the rule when nonzero inputs are grouped by their product.

    Args:
        values: (k, N) or (N,) finite numbers, f at each input.
        labels: (N,) integers in -1 … M-1; inputs labelled -1 are left out.
        order: M, the number of groups, at least 2.

    Returns:
        The profile. A constant f has concentration, peakedness and variance share NaN and peak 0; a varying f
        whose group means all agree has the same but a variance share, 0. Costs O(kN + kM log M) time.

    Raises:
        ValueError: A value is not finite, labels do not fit, or no input has a label.

    >>> labels = np.arange(97)
    >>> fourier_profile(np.cos(2 * np.pi * 26 * labels / 97), labels, 97)
    FourierProfile(k=1, M=97; F@ω: 1.000@26)
    """
    modes = as_modes(values)
    groups = partition(labels, order, modes.shape[1])
    labelled = modes[:, groups.members]
    rounding = _ROUNDING * np.abs(labelled).max(axis=1)
    mean = labelled.mean(axis=1, keepdims=True)
    # Centring first keeps a small variation on a large mean from drowning in the rounding of the sums.
    deviations = groups.means(modes - mean)
    total = ((labelled - mean) ** 2).mean(axis=1)
    between = deviations**2 @ groups.counts / len(groups.members)
    filled = groups.counts > 0
    deviations[:, ~filled] = deviations[:, filled].mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(deviations)[:, 1 : order // 2 + 1]) ** 2
    return FourierProfile(
        power=power,
        variance_share=between / np.where(total <= rounding**2, np.nan, total),
        group_means=deviations + mean,
        counts=groups.counts,
        flat=power.sum(axis=1) <= (rounding * order) ** 2 / 2,
    )


def expected_concentration(order: int) -> float:
    """Return E[F] = (1 + 1/2 + … + 1/n)/n, n = ⌊M/2⌋, of white Gaussian noise on M equal groups.

    The n powers are then independent exponentials, and their largest share is the largest of n uniform
    spacings. Exact for odd M; for even M the frequency M/2 has one real coefficient, hence a heavier tail,
    and E[F] is slightly larger. Far above the "uniform" 2/M. Source: paper section 4, item 5.

    Args:
        order: M, at least 2.

    Returns:
        The expectation, in (0, 1].

    Raises:
        ValueError: ``order`` is below 2.

    >>> round(expected_concentration(97), 3)
    0.093
    """
    n = operator.index(order) // 2
    if n < 1:
        raise ValueError(f"order = {order} leaves no frequency; need at least 2")
    return float((1 / np.arange(1, n + 1)).sum() / n)
