"""Gram matrices of updates, and singular values from their eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BLOCK", "gram_matrix", "resolution_of", "singular_values_of"]

Floats = NDArray[np.float64]

# Columns turned into float64 at a time: 20 rows of them stay in a core's cache.
BLOCK = 8_192
# A float64 Gram matrix has errors of about eps ||G||, hence its eigenvalues; as singular values sqrt(eps ||G||), with
# room for W of some tens. How large the error comes out depends on the CPU, so none of it is shown.
_ROUNDING = 1e-7


def gram_matrix(updates: Tensor, others: Tensor | None = None, rows: Sequence[int] | None = None) -> Tensor:
    """G_ij = <x_i, y_j> accumulated in float64, shape (rows of updates, rows of others).

    float32 accumulation is wrong by factors of 2 to 4 in the small eigenvalues of nearly collinear updates.

    Args:
        updates: (W, D), any real dtype.
        others: (V, D); ``updates`` itself if left out.
        rows: only these rows of ``updates``, without a copy of them.

    Cost: 2 W V D flops; extra memory (W + V) x 8 192 float64.
    """
    blocks = updates.split(BLOCK, dim=1)
    shape = len(updates) if rows is None else len(rows), len(updates if others is None else others)
    gram = torch.zeros(shape, dtype=torch.float64, device=updates.device)
    for left, right in zip(blocks, blocks if others is None else others.split(BLOCK, dim=1), strict=True):
        exact = left.double()
        chosen = exact if rows is None else exact[list(rows)]
        gram.addmm_(chosen, (exact if others is None else right.double()).T)
    return gram


def singular_values_of(eigenvalues: Floats, gram: Floats) -> Floats:
    """sigma_k = sqrt(lambda_k) of Gram matrices, descending; exactly 0 where it is at most 1e-7 sqrt(||G||_F).

    Such a value is rounding: eigenvalues of a float64 Gram matrix have errors of about eps ||G||, negative ones among
    them. The size of the error differs from one CPU to the next, so nothing may depend on it.

    Args:
        eigenvalues: (…, W), ascending, of the matrices, centred or not.
        gram: (…, W, W), uncentred: centring subtracts numbers of its size.

    Returns:
        (…, W) float64.
    """
    sigma = np.sqrt(np.maximum(eigenvalues[..., ::-1], 0))
    return np.where(sigma > resolution_of(gram)[..., None], sigma, 0.0)


def resolution_of(gram: Floats) -> Floats:
    """1e-7 sqrt(||G||_F) of uncentred Gram matrices (…, W, W), (…): below it a singular value may be rounding."""
    size = np.maximum(np.abs(gram).max(axis=(-2, -1)), np.finfo(np.float64).tiny)  # its square may leave float64
    return np.asarray(_ROUNDING * np.sqrt(size) * np.sqrt(np.linalg.norm(gram / size[..., None, None], axis=(-2, -1))))
