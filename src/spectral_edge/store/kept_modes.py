"""What the directions of a recorded window do to a few inputs, as it is kept in a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["KeptModes", "Labels"]

Labels = Sequence[str] | Sequence[Sequence[str]]
"""A text for each input, or the tokens of each sequence."""


@dataclass(frozen=True)
class KeptModes:
    """What v_1 … v_k of one recorded window do to some inputs.

    The inputs are those that :meth:`~spectral_edge.recording.Recorder.keep_modes` was given.

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
