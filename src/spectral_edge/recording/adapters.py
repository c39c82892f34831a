"""A window of the updates of adapters, s B A: what is kept are their factors, and nothing is multiplied out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.parameters import Adapter
from spectral_edge.spectrum import Factors, LowRankUpdates, SpectralEdge, UpdateWindow, edge_from_gram

__all__ = ["AdapterWindow"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Layer:
    """Where the factors of a layer are in the vector of all factors: A, then B."""

    right: tuple[int, ...]
    left: tuple[int, ...]
    scale: float
    transposed: bool

    @property
    def size(self) -> int:
        return torch.Size(self.right).numel() + torch.Size(self.left).numel()


class AdapterWindow(UpdateWindow):
    """The last W updates of the products s B A of every adapter.

    Its rows are the updates of all factors; products of any moment follow from the factors as they are now. Gram
    matrix, edges and directions are those of the products, in the layout of the base weights, and do not change under
    A → R A, B → B R⁻¹.

    Args:
        size: W.
        adapters: in the order of the layout.
        now: gives the factors at the last recorded step, A and B of every adapter, one after the other.
        settings: of the rows, as :class:`~spectral_edge.spectrum.UpdateWindow` takes them.

    Memory: W r (m + n) numbers a layer. Cost of a spectrum: 4 W² r² (m + n) multiply-adds a layer.
    """

    def __init__(self, size: int, adapters: Sequence[Adapter], now: Callable[[], Tensor], **settings: Any) -> None:
        self._layers = [
            _Layer(tuple(a.right.shape), tuple(a.left.shape), a.scale, a.transposed) for a in adapters
        ]  # fmt: skip
        super().__init__(size, sum(layer.size for layer in self._layers), **settings)
        self._now = now
        # Of which moment; updates; Gram matrix.
        self._products_of = ((-1, -1), LowRankUpdates(()), torch.zeros(0))

    @property
    def gram_matrix(self) -> Tensor:
        """⟨ΔW_i, ΔW_j⟩, oldest first, float64."""
        return self._current()[1]

    def edge(self, center: bool = True, *, copy: bool = True) -> SpectralEdge:
        """As :meth:`~spectral_edge.spectrum.UpdateWindow.edge`, of the products; factors are always copied."""
        if not self.full:
            raise ValueError(
                f"UpdateWindow: only {self.pushed} of {self.size} updates recorded; wait or choose a smaller window"
            )
        updates, gram = self._current()
        return edge_from_gram(gram, lambda: updates, center)

    def remembered(self, edge: SpectralEdge, k: int, room: Callable[[int], Tensor]) -> Tensor:
        """Coefficients of v_1 … v_k and the factors of all moments, as one vector: no direction is multiplied out."""
        coefficients = torch.from_numpy(edge.coefficients(k))
        return torch.cat([coefficients.flatten(), self._factors().flatten()])

    def can_be_remembered(self, given: Tensor) -> bool:
        """As :meth:`~spectral_edge.spectrum.UpdateWindow.can_be_remembered`."""
        coefficients = given.numel() - (self.size + 1) * self.dim
        return given.ndim == 1 and coefficients > 0 and coefficients % self.size == 0

    def overlaps(self, edge: SpectralEdge, k: int, remembered: Tensor) -> Floats:
        """As :meth:`~spectral_edge.spectrum.UpdateWindow.overlaps`."""
        moments = (self.size + 1) * self.dim
        other = remembered[:-moments].reshape(-1, self.size).numpy()
        between = self._current()[0].gram_matrix(self._updates(remembered[-moments:].reshape(-1, self.dim)))
        return np.asarray(edge.coefficients(k) @ between.numpy() @ other.T)

    def _current(self) -> tuple[LowRankUpdates, Tensor]:
        if self._products_of[0] != self.moment:
            updates = self._updates(self._factors())
            self._products_of = (self.moment, updates, updates.gram_matrix())
        return self._products_of[1:]

    def _factors(self) -> Tensor:
        """The factors at the begin of the window and after each update, (W + 1, d) float64."""
        later = self.updates.double().cpu().flip(0).cumsum(0).flip(0)
        now = self._now().double().cpu()
        return torch.cat([now - later, now[None]])

    def _updates(self, moments: Tensor) -> LowRankUpdates:
        return LowRankUpdates(tuple(tuple(self._cut(moment)) for moment in moments))

    def _cut(self, moment: Tensor) -> list[Factors]:
        found = []
        for layer, values in zip(self._layers, moment.split([layer.size for layer in self._layers]), strict=True):
            right = torch.Size(layer.right).numel()
            found.append(
                Factors(
                    values[right:].reshape(layer.left), values[:right].reshape(layer.right), layer.scale,
                    layer.transposed,
                )
            )  # fmt: skip
        return found
