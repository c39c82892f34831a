"""What the directions of each recorded window do to a few inputs, kept beside the spectrum as training goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spectral_edge.modes import Forward, Inputs, functional_modes
from spectral_edge.parameters import ParameterSubset
from spectral_edge.statistics import random_directions

__all__ = ["KeptModes", "Labels", "ModeKeeper"]

Labels = Sequence[str] | Sequence[Sequence[str]]
"""A text for each input, or the tokens of each sequence."""

_MOST_NUMBERS = 1 << 20  # of responses that are kept at a step: 4 MB


@dataclass(frozen=True)
class KeptModes:
    """What v_1 … v_k of one recorded window do to the inputs that :meth:`Recorder.keep_modes` was given.

    Attributes:
        step: training step at which the window ends; the weights are those of then.
        energy: (k, N) float64, f_k(x) = ||response_k(x)||².
        response: (k, N, d) float32, dh/dε along v_k; ``None`` where that is more than 2²⁰ numbers.
        labels: of the inputs, as they were given; empty if none were.
    """

    step: int
    energy: Tensor
    response: Tensor | None = field(repr=False)
    labels: Labels = field(repr=False)

    @classmethod
    def of(cls, step: int, tensors: Mapping[str, Tensor], labels: Any) -> KeptModes:
        """What a file holds.

        Raises:
            ValueError: something is missing or does not fit.
        """
        energy, response = tensors.get("energy"), tensors.get("response")
        if energy is None or energy.ndim != 2:
            raise ValueError("there are no energies (k, N)")
        if response is not None and (response.ndim != 3 or response.shape[:2] != energy.shape):
            raise ValueError(f"responses {tuple(response.shape)} do not fit energies {tuple(energy.shape)}")
        if not isinstance(labels, list) or (labels and len(labels) != energy.shape[1]):
            raise ValueError(f"labels do not fit {energy.shape[1]} inputs")
        texts = [[str(token) for token in text] if isinstance(text, list) else str(text) for text in labels]
        return cls(step, energy, response, texts)


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
