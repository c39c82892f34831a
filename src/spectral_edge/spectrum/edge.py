"""Singular values, gaps, edge position and directions of a window of updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.parameters import plain_name
from spectral_edge.spectrum.gram import BLOCK, gram_matrix, resolution_of, singular_values_of
from spectral_edge.spectrum.rows import HeldRows, Rows
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["SpectralEdge", "edge_from_gram", "spectral_edge"]

Floats = NDArray[np.float64]

# Eigenvalues of a float64 Gram matrix carry an error of about eps * lambda_1, so v_k is contaminated by v_1 by
# eps * (sigma_1 / sigma_k)^2; at 1e-5 that is 2e-6, the resolution of the float32 updates themselves.
_DIRECTION_CUTOFF = 1e-5
_WELL_CONDITIONED = 1e-3
_MAX_POSITION = 10
# Entries of a singular vector that differ by less are equal: of two centred updates they always are.
_TIE = 1e-6


@dataclass(frozen=True, eq=False)
class SpectralEdge(Tabular):
    """The spectrum of a (W, D) window X of updates, and its right singular vectors on demand.

    Attributes:
        singular_values: (W,) float64, descending; eigenvalues of the Gram matrix are their squares. Exactly 0 from the
            rank on: see :func:`singular_values_of`.
        left: (W, W) float64, column j is u_j; the sign makes its largest entry positive (of equal ones the first),
            i.e. the update that moves most along v_j moves in its positive direction. Needs no D-sized data, so every
            shard agrees.
        centered: whether the window mean was subtracted (then at most W - 1 singular values are non-zero).
        noise_floor: for a sketched window, √(max|δ|² / √m), the error of one inner product seen as a singular value:
            what lies below it need not be there, were the updates any vectors. ``None`` for an exact one. In a window
            of few updates singular values have smaller errors, relative to each: see :class:`CountSketch`.
        layout: names of the parameters in the order of the columns, where the model itself was not there to give it.
        dim: D, where it is known; below W it limits the rank.
        resolution: below it singular values may be rounding, and are 0: see :func:`singular_values_of`.
        plain: whether its inner product is the ordinary one; otherwise directions are not orthogonal.
    """

    singular_values: np.ndarray
    left: np.ndarray
    centered: bool
    noise_floor: float | None = field(default=None, kw_only=True)
    layout: tuple[str, ...] | None = field(default=None, kw_only=True, repr=False)
    dim: int | None = field(default=None, kw_only=True, repr=False)
    resolution: float = field(kw_only=True, repr=False)
    plain: bool = field(default=True, kw_only=True, repr=False)
    _parts: Callable[[], Sequence[Tensor] | Rows] = field(repr=False)
    _sharded: bool = field(default=False, repr=False)
    _exact: Callable[[], SpectralEdge] | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        """Number of singular values that are not 0."""
        return int((self.singular_values > 0).sum())

    @property
    def gap_ratios(self) -> np.ndarray:
        """sigma_k / sigma_{k+1}, shape (W - 1,); infinite from the rank on."""
        ratios = np.full(len(self.singular_values) - 1, np.inf)
        known = self.rank - 1
        ratios[:known] = self.singular_values[:known] / self.singular_values[1 : known + 1]
        return ratios

    def eigengap(self, j: int) -> float:
        """lambda_j - lambda_{j+1} = sigma_j^2 - sigma_{j+1}^2 for 1-based j; ``eigengap(2)`` is g23.

        Raises:
            ValueError: j is not in 1..W-1.
        """
        if not 1 <= j < len(self.singular_values):
            raise ValueError(f"eigengap: j = {j} is outside 1..{len(self.singular_values) - 1}")
        return float(self.singular_values[j - 1] ** 2 - self.singular_values[j] ** 2)

    @property
    def position(self) -> int:
        """k*: 1-based argmax over j <= 10 of (sigma_j / sum sigma) (sigma_j / sigma_{j+1}); paper, section 1.

        Only j below the rank compete: centring makes the last singular value zero by construction, which is no
        edge. In a window of rank r < min(W, D) (r < min(W - 1, D) if centred) the rank competes too, with
        :attr:`resolution` for the sigma_{r+1} that is not seen.
        """
        n = len(self.singular_values)
        full_rank = n - 1 if self.centered else n
        full_rank = full_rank if self.dim is None else min(full_rank, self.dim)
        candidates = self.singular_values[: min(_MAX_POSITION + 1, self.rank)]
        if self.rank < full_rank and self.rank <= _MAX_POSITION:
            candidates = np.append(candidates, self.resolution)
        if len(candidates) < 2:
            return 1
        score = candidates[:-1] / candidates[1:] * candidates[:-1]
        return int(np.argmax(score)) + 1

    def coefficients(self, k: int) -> np.ndarray:
        """C (k, W) float64 with v_j = sum_s C_js x_s, updates oldest first: u_j / sigma_j, less its mean if centred.

        Raises:
            ValueError: k is outside 1..W, or sigma_k is below 1e-5 sigma_1, where v_k is not identifiable.
        """
        sigma = self.singular_values
        if not 1 <= k <= len(sigma):
            raise ValueError(f"directions: k = {k} is outside 1..{len(sigma)}, the window has {len(sigma)} updates")
        if k > self.identifiable:
            why = " (centring removes one)" if self.centered else ""
            raise ValueError(
                f"directions: sigma_{k} = {sigma[k - 1]:.3g} is below {_DIRECTION_CUTOFF:g} sigma_1 = {sigma[0]:.3g}; "
                f"only the first {self.identifiable} directions are identifiable{why}; ask for k <= {self.identifiable}"
            )
        found = (self.left[:, :k] / sigma[:k]).T
        # u^T (X - 1 m) = (u - mean(u))^T X
        return np.ascontiguousarray(found - found.mean(axis=1, keepdims=True) if self.centered else found)

    @property
    def identifiable(self) -> int:
        """Number of directions that the window determines (sigma_k >= 1e-5 sigma_1)."""
        return int((self.singular_values >= _DIRECTION_CUTOFF * self.singular_values[0]).sum())

    def directions(self, k: int, *, out: Tensor | None = None) -> Tensor:
        """The first k edge directions v_j = X^T u_j / sigma_j as unit rows, shape (k, D), float32.

        Of a sketched window, the directions are those of the exact updates on disk, whose spectrum is computed for
        them; where parameters are sharded as well, all processes must then call.

        Where the parameters are sharded, D counts what this process holds and the rows are its parts of unit vectors:
        nothing is gathered and no other process need take part. (k, D) is float64 if the updates are.

        Args:
            k: 1..W.
            out: (k, D) to write to, in place of a new tensor.

        Cost: one pass over X, W k D multiply-adds in float64, block by block; the result is the only memory of size D.

        Raises:
            ValueError: as :meth:`coefficients`, or the updates are no longer kept.
        """
        return self._combined(np.eye(max(k, 0)), out, torch.float64, BLOCK)

    def combinations(self, coefficients: np.ndarray) -> Tensor:
        """Rows sum_j c_ij v_j of the first r right singular vectors, shape (n, D); norms are those of the rows of c.

        Memory is that of the result, however large r is: the v_j are never formed.

        Args:
            coefficients: (n, r), r at least 1 and at most :attr:`identifiable`.

        Raises:
            ValueError: another shape; as :meth:`coefficients`; or the updates are no longer kept.

        >>> edge = spectral_edge(torch.diag(torch.tensor([3.0, 2.0, 1.0])), center=False)
        >>> edge.combinations(np.array([[0.6, 0.8]])).abs()
        tensor([[0.6000, 0.8000, 0.0000]])
        """
        found = np.asarray(coefficients, dtype=np.float64)
        if found.ndim != 2 or not found.shape[1]:
            raise ValueError(f"combinations: coefficients of shape {found.shape}; need (n, r) with r >= 1")
        # Dividing by a small singular value magnifies rounding by its share of the largest. Where that is no more than
        # 1e3, float32 keeps errors below 1e-4, in a quarter of the time.
        well = self.singular_values[: found.shape[1]].min() > _WELL_CONDITIONED * self.singular_values[0]
        return self._combined(found, None, torch.float32 if well else torch.float64, 4 * BLOCK)

    def in_metric(self, metric: Tensor) -> SpectralEdge:
        """The edge of the same updates under the inner product <x, y> = Σ_i m_i x_i y_i of parameters.

        Are k* and v_1 an artefact of the coordinates? A spectrum takes each parameter's own unit for granted, and an
        optimizer with steps of its own for each parameter does not:
        :func:`~spectral_edge.recording.optimizer_metric` is its inner product.

        Args:
            metric: (D,), m, finite and not negative.

        Returns:
            Its singular values and its position are those of X diag(√m). Its directions are v_j ∝ X^T u_j again, the
            way along which the updates move, as unit rows; they are orthogonal under the metric, not without it.

        Raises:
            ValueError: another shape, an entry that is negative or not finite, parameters that are sharded, or updates
                that are no longer kept, or that are zero where the metric is not.

        Cost: W² D multiply-adds, and one pass over the updates where they lie.

        >>> edge = spectral_edge(torch.diag(torch.tensor([3.0, 2.0, 1.0])), center=False)
        >>> other = edge.in_metric(torch.tensor([1.0, 4.0, 100.0]))
        >>> other.singular_values.round(6).tolist(), other.directions(1).abs().round(decimals=4).tolist()
        ([10.0, 4.0, 3.0], [[0.0, 0.0, 1.0]])
        """
        if self._sharded:
            raise ValueError("in_metric: parameters are sharded over processes; give the edge of whole parameters")
        if self._exact is not None:
            return self._exact().in_metric(metric)
        rows = self._rows()
        weights = torch.as_tensor(metric).detach().to(rows.device, torch.float64)
        if weights.shape != (rows.dim,):
            raise ValueError(
                f"in_metric: the metric has shape {tuple(weights.shape)}; these updates need ({rows.dim},)"
            )
        if not torch.isfinite(weights).all() or (weights < 0).any():
            raise ValueError("in_metric: the metric has entries that are negative or not finite")
        width = max(BLOCK, rows.block)
        gram = torch.zeros(2 * [len(self.left)], dtype=torch.float64, device=rows.device)
        for start in range(0, rows.dim, width):
            columns = slice(start, start + width)
            block = torch.cat([part.double() for part in rows.read(columns)])
            gram.addmm_(block * weights[columns], block.T)
        found = edge_from_gram(gram, self._parts, self.centered, dim=self.dim)
        return replace(found, layout=self.layout, plain=False)

    def displacement(self) -> Tensor:
        """The sum of the window's updates, (D,): the weights at its end minus those at its begin, centred or not.

        Where the parameters are sharded, the part of it that this process holds.

        Raises:
            ValueError: the updates are no longer kept.

        >>> spectral_edge(torch.tensor([[1.0, 0.0], [1.0, 2.0]])).displacement()
        tensor([2., 2.])
        """
        return self._rows().displacement() if self._exact is None else self._exact().displacement()

    def _rows(self) -> Rows:
        found = self._parts()
        return found if isinstance(found, Rows) else HeldRows(found)

    def _combined(self, combination: Floats, out: Tensor | None, dtype: torch.dtype, block: int) -> Tensor:
        if self._exact is not None:
            return self._exact()._combined(combination, out, dtype, block)
        coefficients = torch.from_numpy(combination @ self.coefficients(combination.shape[1]))
        rows = self._rows()
        dtype, device, dim = torch.promote_types(rows.dtype, dtype), rows.device, rows.dim
        coefficients = coefficients.to(device, dtype)
        if out is None:
            wide = torch.promote_types(rows.dtype, torch.float32)
            out = torch.empty(len(combination), dim, dtype=wide, device=device)
        squares = torch.zeros(len(combination), dtype=torch.float64, device=device)
        block = max(block, rows.block)
        for start in range(0, dim, block):
            columns = slice(start, start + block)
            parts = rows.read(columns)
            shares = coefficients.split([len(part) for part in parts], dim=1)
            pieces = [share @ part.to(dtype) for share, part in zip(shares, parts, strict=True)]
            exact = torch.stack(pieces).sum(0).double()
            squares += exact.square().sum(1)
            out[:, columns] = exact
        # sigma carries the rounding of the Gram matrix; the norms of a part say nothing about the whole.
        wanted = torch.from_numpy(np.linalg.norm(combination, axis=1)).to(squares.device)
        if self._sharded:
            return out
        scale = torch.where(wanted > 0, squares.sqrt() / wanted, 1.0)  # a row of zeros stays one
        # In its own type: dividing by float64 would make four more copies of it.
        return out.div_(scale[:, None].to(out.dtype))

    def check_layout(self, names: Sequence[str]) -> None:
        """Refuse parameters whose order is known not to be that of the columns; adapters do not change a name.

        Args:
            names: of parameters, in their order.

        Raises:
            ValueError: they are others, or in another order.
        """
        own, given = self.layout, tuple(map(plain_name, names))
        if own is None or tuple(map(plain_name, own)) == given:
            return
        what = "the same parameters in another order" if set(map(plain_name, own)) == set(given) else "other parameters"
        raise ValueError(
            f"the edge is of {what} ({', '.join(own[:4])}, …) than these ({', '.join(names[:4])}, …); "
            "pass parameters=recorder.parameters, or recording.parameters_of(model)"
        )

    def in_layout(self, names: tuple[str, ...]) -> SpectralEdge:
        """This edge, saying which parameters its columns are."""
        return replace(self, layout=names)

    def as_sketch(self, noise_floor: float, exact: Callable[[], SpectralEdge]) -> SpectralEdge:
        """This spectrum as that of sketched updates.

        Args:
            noise_floor: as the attribute.
            exact: gives the edge of the updates themselves, for directions; may raise.
        """
        return replace(self, noise_floor=noise_floor, _exact=exact)

    def to_polars(self) -> polars.DataFrame:
        """One row a singular value: k, singular_value, gap_ratio and eigengap (σ_k² - σ_{k+1}²) to the next."""
        import polars

        n = len(self.singular_values)
        ratios = [float(r) if np.isfinite(r) else None for r in self.gap_ratios]
        return polars.DataFrame(
            {
                "k": range(1, n + 1), "singular_value": self.singular_values, "gap_ratio": [*ratios, None],
                "eigengap": [*(self.eigengap(j) for j in range(1, n)), None],
            }
        )  # fmt: skip

    def __repr__(self) -> str:
        sigma = ", ".join(f"{s:.4g}" for s in self.singular_values[:4])
        floor = "" if self.noise_floor is None else f", noise floor {self.noise_floor:.4g}"
        return (
            f"SpectralEdge(window={len(self.singular_values)}, centered={self.centered}, "
            f"k*={self.position}, sigma=[{sigma}, …]{floor})"
        )


def spectral_edge(updates: Tensor | np.ndarray, center: bool = True) -> SpectralEdge:
    """Find the spectral edge of a window of updates: SVD of X (W, D) through its Gram matrix X X^T.

    Source: paper, section 1; the functional analysis centres X by its window mean, the g23 analysis does not.

    Args:
        updates: (W, D) with W >= 2, oldest first; kept by reference, so do not overwrite it while the result lives.
        center: subtract the window mean first.

    Raises:
        ValueError: not a (W, D) array with W >= 2, an update that is not finite, one that is exactly zero, or a
            centred window whose updates are all equal.

    Cost: W^2 D multiply-adds in float64 and an W x W eigenproblem; never a D x D object.

    >>> edge = spectral_edge(torch.diag(torch.tensor([3.0, 2.0, 1.0])), center=False)
    >>> edge.singular_values.round(6).tolist(), edge.position
    ([3.0, 2.0, 1.0], 1)
    """
    updates = torch.as_tensor(updates).detach()
    if updates.ndim != 2 or len(updates) < 2:
        raise ValueError(f"spectral_edge: updates must be (W, D) with W >= 2, got shape {tuple(updates.shape)}")
    if not updates.is_floating_point():
        raise ValueError(f"spectral_edge: updates must be floating point, got {updates.dtype}")
    return edge_from_gram(gram_matrix(updates), lambda: (updates,), center, dim=updates.shape[1])


def edge_from_gram(
    gram: Tensor,
    parts: Callable[[], Sequence[Tensor] | Rows],
    center: bool,
    sharded: bool = False,
    zeros: bool = False,
    dim: int | None = None,
) -> SpectralEdge:
    """Find the spectral edge where the uncentred float64 Gram matrix of the updates is known already.

    Args:
        gram: (W, W).
        parts: gives the updates when directions are asked for, cut between rows: (W₁, D), (W₂, D), …, oldest first; or
            :class:`Rows` that are read in blocks.
        center: as :func:`spectral_edge`.
        sharded: ``parts`` has this process's columns of the updates.
        zeros: whether some of the updates may be zero.
        dim: D of all processes, where it is known.
    """
    g = gram.cpu().numpy()
    norms = np.sqrt(np.maximum(np.diag(g), 0))
    bad = np.flatnonzero(~np.isfinite(g).all(axis=1))
    if len(bad):
        row = int(np.flatnonzero(~np.isfinite(norms))[0]) if not np.isfinite(norms).all() else int(bad[0])
        raise ValueError(f"spectral_edge: update {row} has NaN or infinite entries; drop it before the analysis")
    if (norms == 0).any() and not (zeros and norms.any()):
        rows = np.flatnonzero(norms == 0).tolist()
        raise ValueError(
            f"spectral_edge: updates {rows} are exactly zero (no step was taken, or the parameters are frozen or "
            "too coarse to move); drop them before the analysis"
        )
    centred = g - g.mean(0) - g.mean(1)[:, None] + g.mean() if center else g
    # Not NumPy's: its threads go on spinning for a tenth of a second, and take the cores from what torch does next.
    values, vectors = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy((centred + centred.T) / 2)))
    sigma = singular_values_of(values, g)
    if sigma[0] == 0:
        raise ValueError("spectral_edge: all updates are equal, so nothing is left after centring; use center=False")
    left = vectors[:, ::-1].copy()
    size = np.abs(left)
    largest = (size >= (1 - _TIE) * size.max(0)).argmax(0)  # the first of equals, whichever rounding makes largest
    left *= np.where(left[largest, np.arange(left.shape[1])] < 0, -1.0, 1.0)
    return SpectralEdge(sigma, left, center, parts, sharded, dim=dim, resolution=float(resolution_of(g)))
