"""What the directions of each recorded window do to a few inputs, kept beside the spectrum as training goes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectral_edge.modes import Forward, Inputs, functional_modes, left_as_found
from spectral_edge.parameters import ParameterSubset
from spectral_edge.statistics import random_directions
from spectral_edge.store import Labels

__all__ = ["ModeKeeper"]

_MOST_NUMBERS = 1 << 20  # of responses that are kept at a step: 4 MB


class ModeKeeper:
    """Computes the modes of a window's directions on fixed inputs.

    Args:
        model: as it is watched.
        parameters: what the directions live in.
        inputs: as for :func:`~spectral_edge.modes.functional_modes`, as is ``forward``.
        forward: the representation.
        k: directions.
        labels: of the inputs.

    Raises:
        ValueError: labels do not fit the inputs, or ``k`` is below 1. What ``forward`` raises comes through: it is
            tried once, with a random direction.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: ParameterSubset,
        inputs: Inputs,
        forward: Forward | None,
        k: int,
        labels: Labels,
    ) -> None:
        if k < 1:
            raise ValueError(f"Recorder.keep_modes: k = {k}; it counts directions and must be at least 1")
        self._model, self._parameters, self._inputs, self._forward = model, parameters, inputs, forward
        self.k = k
        energy = self.of(random_directions(1, parameters.dim, seed=0))["energy"]
        if labels and len(labels) != energy.shape[1]:
            raise ValueError(f"Recorder.keep_modes: {len(labels)} labels for {energy.shape[1]} inputs; give each one")
        self.labels = [text if isinstance(text, str) else list(map(str, text)) for text in labels]

    def of(self, directions: Tensor) -> dict[str, Tensor]:
        """Energies of directions (k, D), and their responses where these are few numbers, on the host."""
        first = next(iter(self._parameters.parameters.values()))
        with left_as_found(self._model):
            modes = functional_modes(
                self._model,
                directions.to(first.device),
                self._inputs,
                parameters=self._parameters,
                forward=self._forward,
            )
        found = {"energy": modes.energy.cpu()}
        if modes.response.numel() <= _MOST_NUMBERS:
            found["response"] = modes.response.to(torch.float32).cpu()
        return found
