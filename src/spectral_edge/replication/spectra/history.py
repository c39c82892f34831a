"""All spectra of one run over time, each snapshot read once: what C1 and C2 are measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_edge.spectrum import (
    attention_matrices,
    displacement_gram,
    displacement_pca,
    rolling_singular_values,
    update_gram,
    weight_singular_values,
)
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["PREFIX", "UpdateWindows", "recorded_spectra", "settings_of", "spectral_history"]

Floats = NDArray[np.float64]

PREFIX = "spectra."
_CONTROL_FACTOR = 5  # published controls have snapshots 500 steps apart, other runs 100
_WEIGHT_RANKS = 4  # singular values of a weight matrix that are kept


@dataclass(frozen=True, order=True)
class UpdateWindows:
    """A window of W updates of ``stride`` optimizer steps each."""

    window: int
    stride: int

    @property
    def key(self) -> str:
        """Prefix of its arrays: ``spectra.w10.stride100.``."""
        return f"{PREFIX}w{self.window}.stride{self.stride}."


def settings_of(arrays: Mapping[str, np.ndarray]) -> list[UpdateWindows]:
    """The settings whose spectra are among ``arrays``."""
    names = [name.removeprefix(PREFIX).split(".") for name in arrays if name.endswith(".g23")]
    return sorted(UpdateWindows(int(window[1:]), int(stride.removeprefix("stride"))) for window, stride, _ in names)


def spectral_history(run: TrainedRun, stride: int, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Spectra of updates, displacements and weights at every step that has them, uncentred, as float64 arrays.

    * ``spectra.w{W}.stride{s}.``: ``steps`` at which windows end, ``singular_values`` (T, W), ``g23`` =
      sigma_2² - sigma_3², ``gap_ratio`` = sigma_1 / sigma_2, ``g23_share`` = g23 / Σ sigma², ``update_norm`` =
      Σ sigma² / W, the mean squared norm of an update. Strides: ``stride`` and 5 times it from snapshots, 1 from the
      Gram matrices recorded while training.
    * ``spectra.displacement.``: ``steps``, ``singular_values`` (T, 4), ``explained_variance`` and
      ``explained_variance_centered`` (T, 2) of the displacements up to each step; ``gram`` (T, T).
    * ``spectra.weights.``: ``steps`` (from 0), ``norm`` = ‖theta‖² of all attention weights, ``width`` = d_model, and
      for each matrix ``layer0.W_Q`` … its ``singular_values`` (T + 1, 4).

    Args:
        run: with snapshots.
        stride: optimizer steps per update; a multiple of the snapshot spacing.
        windows: W of each setting. A window longer than the run is left out, so the arrays may be few.

    Cost: one read of the snapshots, an SVD of each matrix of each, T² D multiply-adds: 2.5 s for the paper's run.
    """
    steps = [step for step in run.run.snapshot_steps() if step % stride == 0]
    layout = run.model_at(steps[0])[1]
    snapshots = [run.weights_at(step) for step in steps]
    arrays = {f"{PREFIX}weights.steps": np.array(steps)}
    arrays[f"{PREFIX}weights.norm"] = np.array([float(theta.double().square().sum()) for theta in snapshots])
    matrices = [attention_matrices(layout.unflatten(theta)) for theta in snapshots]
    arrays[f"{PREFIX}weights.width"] = np.array([matrices[0]["layer0.W_Q"].shape[0]])
    ranks = min(_WEIGHT_RANKS, *(min(matrix.shape) for matrix in matrices[0].values()))
    sigma = np.stack([weight_singular_values(named, ranks) for named in matrices], axis=1)
    arrays |= {f"{PREFIX}weights.{name}.singular_values": s for name, s in zip(matrices[0], sigma, strict=True)}
    if len(steps) < 3:
        return arrays
    gram = displacement_gram(snapshots)
    arrays |= _displacements(gram, steps)
    for factor in (1, _CONTROL_FACTOR):
        ends = steps[::factor][1:]
        for window in windows:
            if window <= len(ends):
                spectra = rolling_singular_values(update_gram(gram, factor), window)
                arrays |= _windows(UpdateWindows(window, stride * factor), ends[window - 1 :], spectra)
    for window in windows:
        recorded = dict(recorded_spectra(run, window))
        if recorded:
            arrays |= _windows(UpdateWindows(window, 1), list(recorded), np.stack(list(recorded.values())))
    return arrays


def recorded_spectra(run: TrainedRun, window: int) -> Iterator[tuple[int, Floats]]:
    """Steps and spectra of the last ``window`` per-step updates: the last block of each recorded Gram matrix."""
    for line in run.metrics:
        gram = line.get("gram_matrix")
        if gram is not None and len(gram) >= window:
            block = np.array(gram)[-window:, -window:]
            yield int(line["step"]), rolling_singular_values(block, window)[0]


def _displacements(gram: Floats, steps: list[int]) -> dict[str, np.ndarray]:
    pca, centered = displacement_pca(gram), displacement_pca(gram, center=True)
    key = f"{PREFIX}displacement."
    return {
        f"{key}steps": np.array(steps[1:]),
        f"{key}singular_values": pca.singular_values[:, :_WEIGHT_RANKS].copy(),
        f"{key}explained_variance": pca.explained_variance[:, :2].copy(),
        f"{key}explained_variance_centered": centered.explained_variance[:, :2].copy(),
        f"{key}gram": gram,
    }


def _windows(setting: UpdateWindows, ends: list[int], sigma: Floats) -> dict[str, np.ndarray]:
    power = sigma**2
    total = power.sum(axis=1)
    g23 = power[:, 1] - power[:, 2]
    return {
        f"{setting.key}steps": np.array(ends),
        f"{setting.key}singular_values": sigma,
        f"{setting.key}g23": g23,
        f"{setting.key}gap_ratio": sigma[:, 0] / sigma[:, 1],
        f"{setting.key}g23_share": g23 / total,
        f"{setting.key}update_norm": total / setting.window,
    }
