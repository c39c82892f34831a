"""How alike a response and named features of the inputs are, whatever the coordinates of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison.documents import Documents
from spectral_edge.comparison.statistic import Takes

__all__ = ["ComponentShare", "Similarity"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Similarity:
    """Debiased linear CKA of a response (N, d) and features (N, p): 0 if unrelated, 1 if alike but for rotations.

    HSIC_u(K, L)/√(HSIC_u(K, K) HSIC_u(L, L)) of the inner products K = RRᵀ, L = FFᵀ, with the unbiased HSIC_u of Song
    et al. (2012): unlike the biased CKA, it does not grow with d/N. It may be below 0. The null ``inputs`` exchanges
    whole documents.

    Args:
        features: (N, p) numbers, e.g. activations, or an embedding of the inputs.
        documents: (N,) what each input belongs to; each by itself if left out.
        label: how the table calls it.

    Raises:
        ValueError: features have missing values; on use, other than N rows, or N below 4.

    Cost: N² (d + p); N² for each permutation.

    >>> import torch
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> turned = torch.tensor(x @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0])
    >>> round(Similarity(x)(turned), 6)
    1.0
    """

    features: Any
    documents: Sequence[Any] | NDArray[Any] | None = None
    label: str = "similarity"

    takes: ClassVar[Takes] = "response"
    _products: Floats = field(init=False)

    def __post_init__(self) -> None:
        table = np.asarray(self.features.cpu() if isinstance(self.features, Tensor) else self.features, np.float64)
        if table.ndim != 2 or len(table) < 4:
            raise ValueError(f"Similarity: features are {table.shape}; they must be (N, p) of at least 4 inputs")
        if not np.isfinite(table).all():
            raise ValueError(f"Similarity: {int((~np.isfinite(table)).any(1).sum())} rows of features are not finite")
        object.__setattr__(self, "_products", _without_diagonal(table))

    @property
    def name(self) -> str:
        """How the table calls it."""
        return self.label

    def __call__(self, response: Tensor) -> float:
        """The similarity of a response (N, d)."""
        return self._to(response, None)

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Exchange whole documents of the same number of inputs.

        Raises:
            ValueError: documents can be exchanged in fewer than 100 ways.
        """
        taken = self._partition.exchanged(generator)
        return lambda response: self._to(response, taken)

    def _to(self, response: Tensor, taken: NDArray[np.int64] | None) -> float:
        if len(response) != len(self._products):
            raise ValueError(f"Similarity: {len(self._products)} rows of features for {len(response)} inputs")
        own = _without_diagonal(response.double().cpu().numpy())
        other = self._products if taken is None else self._products[np.ix_(taken, taken)]
        scale = _hsic(own, own) * _hsic(other, other)
        return float(_hsic(own, other) / np.sqrt(scale)) if scale > 0 else float("nan")

    @cached_property
    def _partition(self) -> Documents:
        return Documents(range(len(self._products)) if self.documents is None else self.documents)

    def __repr__(self) -> str:
        return f"Similarity({len(self._products)} inputs)"


def _without_diagonal(rows: Floats) -> Floats:
    products = rows @ rows.T
    np.fill_diagonal(products, 0)
    return products


def _hsic(k: Floats, other: Floats) -> float:
    """The unbiased estimate, from inner products without their diagonals. Source: Song et al. 2012, equation 5."""
    n = len(k)
    trace = float((k * other).sum())
    sums = float(k.sum()) * float(other.sum()) / ((n - 1) * (n - 2))
    rows = 2 * float(k.sum(0) @ other.sum(0)) / (n - 2)
    return (trace + sums - rows) / (n * (n - 3))


@dataclass(frozen=True)
class ComponentShare:
    """Share of a response's variance over inputs in its first principal components: how few functions make it up.

    Σ_{i ≤ k} s_i²/Σ s_i² of the column-centred response (N, d); from the smaller of RᵀR and RRᵀ. NaN, and so refused,
    where the response is constant.

    Args:
        components: k.

    >>> import torch
    >>> round(ComponentShare()(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    0.8
    """

    components: int = 1

    takes: ClassVar[Takes] = "response"

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"ComponentShare: components = {self.components}; at least 1")

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"component_share:{self.components}"

    def __call__(self, response: Tensor) -> float:
        """The share, in (0, 1]."""
        rows = response.double().cpu().numpy()
        rows = rows - rows.mean(0)
        small = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
        power = np.linalg.eigvalsh(small).clip(min=0)
        return float(power[-self.components :].sum() / power.sum()) if power.sum() > 0 else float("nan")
