"""What people watch beside a spectrum: norms, learning rate, loss, where v_1 lies, how much of it is weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from spectral_edge.parameters import Adapter, ParameterSubset, layer_of
from spectral_edge.recording.live import LiveValues
from spectral_edge.recording.parts import PartWindow
from spectral_edge.spectrum import Factors, UpdateWindow, inner_product

__all__ = ["Monitor"]


class Monitor:
    """Adds to the live values of a window what is not its spectrum.

    Args:
        parameters: recorded, with their θ.
        values: these or their masters, as the optimizers hold them.
        optimizers: whose learning rates are read.
        adapters: whose products are recorded, if any.

    Cost after every W updates: two passes over D numbers, W D multiply-adds more where decay is kept.
    """

    def __init__(
        self,
        parameters: ParameterSubset,
        values: ParameterSubset,
        optimizers: Sequence[Optimizer],
        adapters: Sequence[Adapter] = (),
    ) -> None:
        self._adapters = adapters
        self._parameters = parameters
        self._held = {id(p) for subset in (parameters, values) for p in subset.parameters.values()}
        self._optimizers = optimizers
        self._noted: dict[str, list[float | Tensor]] = {}

    def note(self, values: Mapping[str, float | Tensor]) -> None:
        """Take numbers of a training step, such as its loss; a tensor is read when the next line is written."""
        for name, value in values.items():
            self._noted.setdefault(name, []).append(
                value.detach().clone() if isinstance(value, Tensor) else float(value)
            )

    @property
    def noted(self) -> dict[str, Tensor]:
        """By name, what was noted since the last line."""
        return {
            name: torch.tensor([float(value) for value in values], dtype=torch.float64)
            for name, values in self._noted.items()
        }

    def restore(self, noted: Mapping[str, Tensor]) -> None:
        """Go on from what had been noted then."""
        self._noted = {name: values.flatten().tolist() for name, values in noted.items()}

    def added_to(
        self, values: LiveValues, window: UpdateWindow, remembered: Tensor | None, decay: PartWindow | None
    ) -> LiveValues:
        """The same values, and what is watched beside them.

        Args:
            values: of the window.
            window: full.
            remembered: v_1 … v_k where they are vectors in the layout of the parameters.
            decay: the window of decay parts, where they are kept.
        """
        first = None
        if remembered is not None and remembered.ndim == 2 and remembered.shape[1] == self._parameters.dim:
            first = remembered[0]
        diagonal = window.gram_matrix.diagonal()
        whole = not self._parameters.sharded
        return replace(
            values,
            update_norm=float(diagonal.mean().sqrt()),
            weight_norm=self._weight_norm() if whole else None,
            learning_rate=self._learning_rate(),
            layer_shares=self._layer_shares(first) if whole and first is not None else None,
            decay_share=_decay_share(first, window, decay) if whole and first is not None and decay else None,
            noted=self._means(),
        )

    def _weight_norm(self) -> float | None:
        if any(parameter.is_meta for parameter in self._parameters.parameters.values()):
            return None  # only shapes are here, and updates are given
        if self._adapters:  # of the products, which are not multiplied out
            products = (Factors(a.left.detach(), a.right.detach(), a.scale) for a in self._adapters)
            return sum(inner_product(product, product) for product in products) ** 0.5
        squares = [torch.linalg.vector_norm(block.values, dtype=torch.float64) for block in self._parameters.blocks()]
        return float(torch.stack(squares).norm()) if squares else 0.0

    def _learning_rate(self) -> float | None:
        groups = (group for optimizer in self._optimizers for group in optimizer.param_groups)
        held = (group for group in groups if any(id(p) in self._held for p in group["params"]))
        rates = [float(group["lr"]) for group in held if "lr" in group]  # an optimizer of one's own may have none
        return max(rates, default=None)

    def _layer_shares(self, direction: Tensor) -> dict[str, float]:
        shares: dict[str, float] = {}
        for shard, piece in zip(
            self._parameters.shards, direction.split([s.dim for s in self._parameters.shards]), strict=True
        ):
            square = float(torch.linalg.vector_norm(piece, dtype=torch.float64)) ** 2
            shares[layer_of(shard.name)] = shares.get(layer_of(shard.name), 0.0) + square
        return shares

    def _means(self) -> dict[str, float]:
        found = {name: float(np.mean([float(value) for value in values])) for name, values in self._noted.items()}
        self._noted.clear()
        return {name: value for name, value in found.items() if np.isfinite(value)}


def _decay_share(direction: Tensor, window: UpdateWindow, decay: PartWindow) -> float | None:
    """E⟨d, v_1⟩²/(E⟨g, v_1⟩² + E⟨d, v_1⟩²) over a window's updates g + d; ``None`` where neither moves along it."""
    whole, part = (w.inner_products(direction[None])[0].cpu().numpy() for w in (window, decay.window))
    of_decay, of_gradient = float(np.square(part).mean()), float(np.square(whole - part).mean())
    total = of_decay + of_gradient
    return of_decay / total if total > 0 else None
