"""The spectrum of the newest window as training goes: values for a log, a tracker or a callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.recording.files import mapped_tensor
from spectral_edge.spectrum import SpectralEdge, UpdateWindow

__all__ = ["TURNING", "LiveSpectrum", "LiveValues", "turn"]

TURNING = 3
"""Directions compared between windows: the paper calls the first three the edge."""
_SHOWN = 10
_MONITORED = ("update_norm", "weight_norm", "update_ratio", "learning_rate", "decay_share")


@dataclass(frozen=True)
class LiveValues:
    """One window of updates, uncentred, and how its edge turned since the window before.

    Attributes:
        step: training step at which the window ends.
        first_step: training step at which its first update ends.
        singular_values: (W,) descending.
        gap_ratios: sigma_k / sigma_{k+1}, the first ten; ``None`` in place of infinity.
        position: k*.
        eigengaps: lambda_j - lambda_{j+1} for j = 1, 2, 3; the second is g23.
        rotation_degrees: angle between v_1 and the last window's v_1, 0 to 90; ``None`` for the first window.
        drift: 1 - |V' V^T|² / k of the spans of the first k <= 3 directions of both windows, 0 (same) to 1
            (orthogonal); ``None`` for the first.
        noise_floor: of a sketched window, as :attr:`~spectral_edge.spectrum.SpectralEdge.noise_floor`; else ``None``.
        update_norm: root mean square of the lengths of the window's updates.
        weight_norm: length of θ at its end; ``None`` where parameters are sharded or not at hand.
        learning_rate: at its end, the largest of the groups that hold recorded parameters.
        layer_shares: share of |v_1|² that lies in each layer; ``None`` where v_1 is not at hand (sketches, shards,
            adapters). A random direction has the share of the entries.
        decay_share: how much of the movement along v_1 is weight decay, where decay is kept: 1 -
            :func:`~spectral_edge.spectrum.gradient_share`.
        noted: means of what :meth:`Recorder.note` was given since the last window.
    """

    step: int
    first_step: int
    singular_values: tuple[float, ...]
    gap_ratios: tuple[float | None, ...]
    position: int
    eigengaps: tuple[float, ...]
    rotation_degrees: float | None
    drift: float | None
    noise_floor: float | None
    update_norm: float | None = None
    weight_norm: float | None = None
    learning_rate: float | None = None
    layer_shares: dict[str, float] | None = None
    decay_share: float | None = None
    noted: dict[str, float] = field(default_factory=dict)

    @property
    def update_ratio(self) -> float | None:
        """``update_norm`` / ``weight_norm``."""
        known = self.update_norm is not None and self.weight_norm
        return self.update_norm / self.weight_norm if known else None  # type: ignore[operator]

    @classmethod
    def of(
        cls,
        edge: SpectralEdge,
        steps: Sequence[int],
        rotation_degrees: float | None,
        drift: float | None,
        noise_floor: float | None,
    ) -> LiveValues:
        """Describe an uncentred edge.

        Args:
            edge: of a window.
            steps: training steps at which its updates end.
            rotation_degrees, drift, noise_floor: the attributes.
        """
        ratios = edge.gap_ratios[:_SHOWN]
        return cls(
            step=steps[-1],
            first_step=steps[0],
            singular_values=tuple(edge.singular_values.tolist()),
            gap_ratios=tuple(float(r) if np.isfinite(r) else None for r in ratios),
            position=edge.position,
            eigengaps=tuple(edge.eigengap(j) for j in range(1, min(TURNING + 1, len(edge.singular_values)))),
            rotation_degrees=rotation_degrees,
            drift=drift,
            noise_floor=noise_floor,
        )

    def line(self, gram_matrix: Tensor) -> dict[str, Any]:
        """The line of the log: these values and the uncentred Gram matrix of the window."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return {**values, "centered": False, "gram_matrix": gram_matrix.tolist()}

    def scalars(self) -> dict[str, float]:
        """Flat names for trackers: ``sigma_1`` …, ``gap_ratio_1`` …, ``eigengap_1`` …, and the rest that is known."""
        named: dict[str, float | None] = {"step": self.step, "position": self.position}
        named |= {f"sigma_{i}": value for i, value in enumerate(self.singular_values[:_SHOWN], 1)}
        named |= {f"gap_ratio_{i}": value for i, value in enumerate(self.gap_ratios, 1)}
        named |= {f"eigengap_{i}": value for i, value in enumerate(self.eigengaps, 1)}
        named |= {"rotation_degrees": self.rotation_degrees, "drift": self.drift, "noise_floor": self.noise_floor}
        named |= {name: getattr(self, name) for name in _MONITORED}
        named |= {f"share/{layer}": share for layer, share in (self.layer_shares or {}).items()}
        # A note keeps its name, unless that is taken.
        named |= {f"noted/{name}" if name in named else name: value for name, value in self.noted.items()}
        return {name: value for name, value in named.items() if value is not None}


class LiveSpectrum:
    """Remembers the last window's directions, so that the turn of the edge can be told.

    Args:
        folder: keep them in a file here, memory-mapped, and not in memory, 3 D float32; not on an accelerator.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.previous: Tensor | None = None

    def values(self, window: UpdateWindow, noise_floor: Callable[[SpectralEdge], float | None]) -> LiveValues:
        """Describe a full window; where parameters are sharded, all processes must call.

        Args:
            window: full; its rows are multiplied with the last directions, so this costs no second D-sized copy.
            noise_floor: of an edge of that window.
        """
        edge = window.edge(center=False, copy=False)
        rotation, drift = self._turn(window, edge)
        return LiveValues.of(edge, window.steps, rotation, drift, noise_floor(edge))

    def restore(self, previous: Tensor | None, window: UpdateWindow) -> None:
        """Take the last window's directions from a saved state; ``None`` if there was none."""
        self.previous = None
        if previous is not None:
            room = self._room(len(previous), window) if previous.ndim == 2 else torch.empty_like(previous)
            self.previous = room.copy_(previous)

    def _turn(self, window: UpdateWindow, edge: SpectralEdge) -> tuple[float | None, float | None]:
        k = min(TURNING, edge.identifiable)
        overlaps = None
        if self.previous is not None:
            overlaps = window.overlaps(edge, k, self.previous)
        self.previous = window.remembered(edge, k, partial(self._room, window=window))
        return turn(overlaps)

    def _room(self, k: int, window: UpdateWindow) -> Tensor:
        if self.previous is not None and len(self.previous) == k:
            return self.previous
        if self._folder is not None and window.device.type == "cpu":
            return mapped_tensor(self._folder / "edge.bin", (k, window.dim), window.wide_dtype)
        return torch.empty(k, window.dim, dtype=window.wide_dtype, device=window.device)


def turn(overlaps: NDArray[np.float64] | None) -> tuple[float | None, float | None]:
    """Rotation in degrees and drift, as :class:`LiveValues` has them.

    Args:
        overlaps: ⟨v_i, v'_j⟩ of a window's directions and those of the window before; ``None`` if there was none.

    >>> turn(np.eye(2))
    (0.0, 0.0)
    """
    if overlaps is None:
        return None, None
    shared = min(overlaps.shape)
    kept = float((overlaps[:shared, :shared] ** 2).sum()) / shared
    cosine = min(1.0, abs(float(overlaps[0, 0])))
    return float(np.degrees(np.arccos(cosine))), min(1.0, max(0.0, 1 - kept))
