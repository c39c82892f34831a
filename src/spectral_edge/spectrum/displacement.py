"""Displacement PCA and rolling update spectra of a whole trajectory, all from one Gram matrix of displacements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.spectrum.gram import singular_values_of

__all__ = [
    "DisplacementPCA",
    "displacement_gram",
    "displacement_pca",
    "rolling_singular_values",
    "update_gram",
]

Floats = NDArray[np.float64]

# Columns turned into float64 at a time: bounds the extra memory to T x 65 536 x 8 bytes.
_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class DisplacementPCA:
    """The spectrum of the displacements theta_s - theta_0, s = 1 … t, for every t of a trajectory.

    Attributes:
        singular_values: (T, T) float64; row t - 1 has the t singular values of the first t displacements,
            descending, then zeros; see :func:`singular_values_of`.
        centered: whether the mean displacement of the window was subtracted.
    """

    singular_values: Floats = field(repr=False)
    centered: bool

    @property
    def explained_variance(self) -> Floats:
        """sigma_k² / Σ sigma², (T, T): the share of PC k + 1 in the first t displacements; NaN where nothing moved."""
        power = self.singular_values**2
        total = power.sum(axis=1, keepdims=True)
        return np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)

    @property
    def gap_ratio(self) -> Floats:
        """sigma_1 / sigma_2, (T,); infinite where there is no second direction, as at t = 1."""
        sigma = self.singular_values
        first, second = sigma[:, 0], sigma[:, 1] if len(sigma) > 1 else np.zeros(len(sigma))
        return np.divide(first, second, out=np.full_like(first, np.inf), where=second > 0)


def displacement_gram(snapshots: Sequence[Tensor], known: Floats | None = None) -> Floats:
    """G_st = <theta_s - theta_0, theta_t - theta_0> for s, t = 1 … T, accumulated in float64.

    Displacement PCA of every expanding window, and the Gram matrix of updates of every stride
    (:func:`update_gram`), follow from it without reading a vector again. Source: ours.

    Args:
        snapshots: T + 1 >= 2 flat parameter vectors (D,), theta_0 first.
        known: what this function gave for the first of them, while a run goes on; computed is what is new.

    Returns:
        (T, T) float64, symmetric.

    Raises:
        ValueError: fewer than two vectors, vectors of different lengths, or one that is not finite.

    Cost: T² D multiply-adds, or 2 T D for each new snapshot; 50 snapshots of D = 131 072 take about 0.2 s on one
    thread.

    >>> displacement_gram([torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])]).tolist()
    [[1.0, 1.0], [1.0, 5.0]]
    """
    if len(snapshots) < 2:
        raise ValueError(f"displacement_gram: {len(snapshots)} snapshots; a displacement needs at least 2")
    shapes = {tuple(snapshot.shape) for snapshot in snapshots}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"displacement_gram: snapshots must be vectors of one length, not of shapes {sorted(shapes)}")
    for t, snapshot in enumerate(snapshots):
        if not torch.isfinite(snapshot).all():
            raise ValueError(f"displacement_gram: snapshot {t} has NaN or infinite entries; leave it out")
    done = 0 if known is None else len(known)
    gram = torch.zeros(len(snapshots) - 1, len(snapshots) - 1, dtype=torch.float64)
    for start in range(0, len(snapshots[0]), _BLOCK):
        block = torch.stack([s[start : start + _BLOCK].detach().double().cpu() for s in snapshots])
        displacement = block[1:] - block[0]
        gram[done:] += displacement[done:] @ displacement.T
    if known is not None:
        gram[:done] = torch.cat([torch.from_numpy(known), gram[done:, :done].T], dim=1)
    return ((gram + gram.T) / 2).numpy()


def displacement_pca(gram: Floats, center: bool = False) -> DisplacementPCA:
    """Singular values of the first t displacements for every t: eigenvalues of the leading blocks of their Gram matrix.

    Uncentred by default, as published: the first direction then points to where the window lies as seen from
    theta_0. Centring asks instead for the direction along which the window is longest. Neither share is evidence
    by itself: a random walk in high dimension has one PC with most of the variance, too
    (Antognini and Sohl-Dickstein, 1807.11480).

    Args:
        gram: (T, T), of :func:`displacement_gram`.
        center: subtract each window's mean displacement.

    Raises:
        ValueError: ``gram`` is not a square matrix of finite numbers.

    Cost: T eigenproblems of size up to T; 10 ms at T = 50.

    >>> displacement_pca(np.diag([4.0, 1.0])).singular_values.tolist()
    [[2.0, 0.0], [2.0, 1.0]]
    """
    gram = _square(gram, "displacement_pca")
    sigma = np.zeros_like(gram)
    for t in range(1, len(gram) + 1):
        block = gram[:t, :t]
        mean = block.mean(0) + block.mean(1)[:, None] - block.mean() if center else 0.0
        sigma[t - 1, :t] = _singular_values(block, mean)
    return DisplacementPCA(sigma, center)


def update_gram(gram: Floats, stride: int = 1) -> Floats:
    """Gram matrix of the updates theta_{js} - theta_{(j-1)s}, j = 1, 2, …, from that of the displacements.

    Updates are differences of displacements, so their scalar products are second differences of ``gram`` (bordered
    by the zero displacement of theta_0). An eigenvalue sigma² carries a rounding error of about eps times the squared
    displacement: for an update a thousandth of the displacement that is 1e-10 of sigma², less than what float32
    weights resolve.

    Args:
        gram: (T, T), of :func:`displacement_gram`.
        stride: s, snapshots per update, 1 … T; snapshots after the last whole update are left out.

    Returns:
        (T // s, T // s) float64, oldest update first.

    Raises:
        ValueError: ``gram`` is not a square matrix of finite numbers, or ``stride`` is out of range.

    >>> update_gram(np.array([[1.0, 1.0], [1.0, 5.0]])).tolist()
    [[1.0, 0.0], [0.0, 4.0]]
    """
    gram = _square(gram, "update_gram")
    if not 1 <= stride <= len(gram):
        raise ValueError(f"update_gram: stride = {stride} is outside 1..{len(gram)}, the number of displacements")
    bordered = np.pad(gram, (1, 0))[::stride, ::stride]
    return np.diff(np.diff(bordered, axis=0), axis=1)


def rolling_singular_values(gram: Floats, window: int) -> Floats:
    """Singular values of every window of ``window`` consecutive updates, uncentred.

    Args:
        gram: (T, T) Gram matrix of updates, oldest first.
        window: W, from 2 to T.

    Returns:
        (T - W + 1, W) float64, each row descending; row i is the window that ends with update W + i, counted from 1.

    Raises:
        ValueError: ``gram`` is not a square matrix of finite numbers, or ``window`` is out of range.

    >>> rolling_singular_values(np.diag([1.0, 4.0, 9.0]), 2).tolist()
    [[2.0, 1.0], [3.0, 2.0]]
    """
    gram = _square(gram, "rolling_singular_values")
    if not 2 <= window <= len(gram):
        raise ValueError(f"rolling_singular_values: window = {window} is outside 2..{len(gram)}, the number of updates")
    starts = range(len(gram) - window + 1)
    return _singular_values(np.stack([gram[i : i + window, i : i + window] for i in starts]))


def _singular_values(gram: Floats, mean: Floats | float = 0.0) -> Floats:
    """(…, n), descending, of Gram matrices (…, n, n) less ``mean``, what centring takes from them."""
    centred = gram - mean
    symmetric = torch.from_numpy((centred + centred.swapaxes(-1, -2)) / 2)
    # Not NumPy's: see edge.py.
    return singular_values_of(torch.linalg.eigvalsh(symmetric).numpy(), gram)


def _square(gram: Floats, function: str) -> Floats:
    gram = np.asarray(gram, dtype=np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or len(gram) == 0:
        raise ValueError(f"{function}: a Gram matrix is square, got shape {gram.shape}")
    if not np.isfinite(gram).all():
        raise ValueError(f"{function}: the Gram matrix has NaN or infinite entries")
    return gram
