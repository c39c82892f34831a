"""The spectrum of updates over a run, for any window, stride and centring that what it keeps allows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.report import thinned
from spectral_edge.serve.library import Library
from spectral_edge.spectrum import SpectralEdge, displacement_gram, edge_from_gram
from spectral_edge.store import RunDirectory
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Spectra", "SpectrumChoice", "SpectrumSeries"]

Floats = NDArray[np.float64]

_SHOWN = 10
# A plot is several hundred pixels wide, and an eigenproblem takes 0.1 ms.
_MOST_WINDOWS = 1500
_RUNS_KEPT = 3


@dataclass(frozen=True)
class SpectrumChoice:
    """Which updates make a window: W of them, ``stride`` optimizer steps each, centred or not."""

    window: int
    stride: int
    centered: bool


@dataclass(frozen=True)
class SpectrumSeries:
    """Spectra of the windows that end at ``steps``, oldest first.

    Attributes:
        steps: (T,) optimizer steps.
        singular_values: (T, 10 or fewer) the largest, descending.
        gap_ratios: (T, 9 or fewer) sigma_k / sigma_{k+1}; NaN where infinite.
        position: (T,) k*.
        eigengap: (T,) g23 = sigma_2^2 - sigma_3^2.
        found: windows there are; more than T if they were thinned.
        left_out: windows without a spectrum: no step was taken, or all updates are equal.
    """

    steps: list[int]
    singular_values: Floats
    gap_ratios: Floats
    position: list[int]
    eigengap: list[float]
    found: int
    left_out: int


class Spectra:
    """Spectra of the runs of a library, from what is kept of them.

    Of a training run, strides that are multiples of its evaluation interval come from the snapshots of its attention
    weights, and stride 1 from the Gram matrices in its log; of a recording, windows up to the recorded one come from
    its log, too. No D-sized object is made but the snapshots themselves, kept of the last three runs.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._trajectories: OrderedDict[Hashable, _Trajectory] = OrderedDict()
        self._reading = threading.Lock()

    def choices(self, name: str) -> dict[str, Any]:
        """Strides and the largest window of each, and what to begin with."""
        metrics = self._library.metrics(name)
        logged, every = self._logged(name, metrics)
        steps = self._snapshots(name)
        strides = {every: logged} if logged else {}
        if len(steps) > 2:
            spacing = steps[1] - steps[0]
            strides |= {spacing * m: (len(steps) - 1) // m for m in (1, 2, 5) if (len(steps) - 1) // m >= 2}
        if not strides:
            return {"strides": {}, "begin": None}
        stride = max(strides) if len(strides) == 1 else sorted(strides)[1]
        window = min(20, strides[stride])
        # A young run has no window of 20 snapshots yet, but may have one of 20 steps.
        if window < 20 and strides[min(strides)] > window:
            stride, window = min(strides), min(20, strides[min(strides)])
        return {"strides": strides, "begin": {"stride": stride, "window": window, "centered": True}}

    def series(self, name: str, choice: SpectrumChoice, most: int = _MOST_WINDOWS) -> SpectrumSeries:
        """Spectra of every window that a run can give, thinned evenly to ``most`` with the last one kept.

        Raises:
            ValueError: the run keeps nothing from which such windows follow; says what it does keep.
            StoreError, UnknownRunError: it cannot be read.

        Cost: the first call reads all snapshots; then an W x W eigenproblem a window.
        """
        metrics = self._library.metrics(name)
        logged, every = self._logged(name, metrics)
        if logged and choice.stride == every:
            windows: Sequence[tuple[int, Any]] = _logged_windows(metrics, choice.window)
        else:
            windows = self._kept_windows(name, choice)
        if not windows:
            known = ", ".join(f"{stride} (up to {most})" for stride, most in self.choices(name)["strides"].items())
            raise ValueError(
                f"no window of {choice.window} updates of stride {choice.stride} is kept of {name}; strides and "
                f"windows there are: {known or 'none yet'}"
            )
        return _series(thinned(windows, most), choice.window, choice.centered, len(windows))

    def last(self, name: str) -> dict[str, float] | None:
        """Position and gap ratio of the newest window in a run's log; ``None`` if there is none yet."""
        metrics = self._library.metrics(name)
        size, _ = self._logged(name, metrics)
        found = _series(_logged_windows(metrics[-1:], size), size, True, 1) if size else None
        if found is None or not found.steps:
            return None
        position = found.position[0]
        return {"step": found.steps[0], "position": position, "gap_ratio": float(found.gap_ratios[0, position - 1])}

    def _logged(self, name: str, metrics: Sequence[dict[str, Any]]) -> tuple[int, int]:
        """Size of the Gram matrices in the log, 0 if there are none, and optimizer steps an update."""
        size = next((len(line["gram_matrix"]) for line in reversed(metrics) if _is_table(line.get("gram_matrix"))), 0)
        return size, self._every(name)

    def _every(self, name: str) -> int:
        config = RunDirectory.open(self._library.path(name)).config
        every = config.get("every") if config.get("kind") == "recording" else 1
        return every if isinstance(every, int) and every > 0 else 1

    def _snapshots(self, name: str) -> list[int]:
        return RunDirectory.open(self._library.path(name)).snapshot_steps()

    def _kept_windows(self, name: str, choice: SpectrumChoice) -> list[tuple[int, Floats]]:
        key = (name, self._library.stamp(name))  # another run under the same name is read anew
        with self._reading:
            found = self._trajectories.pop(key, None) or _Trajectory(TrainedRun.open(self._library.path(name)))
            self._trajectories[key] = found
            while len(self._trajectories) > _RUNS_KEPT:
                self._trajectories.popitem(last=False)
            found.update()
            return found.windows(choice)


class _Trajectory:
    """The Gram matrix of the displacements of a run's attention weights, extended as snapshots appear."""

    def __init__(self, run: TrainedRun) -> None:
        self._run = run
        self._layout: ParameterSubset | None = None
        self._steps: list[int] = []
        self._vectors: list[Tensor] = []
        self._gram: Floats | None = None

    def update(self) -> None:
        """Read the snapshots that have been added; all again if the run was rewound."""
        steps = self._run.run.snapshot_steps()
        if steps == self._steps:
            return
        rewound = steps[: len(self._steps)] != self._steps
        vectors, known = ([], None) if rewound else (self._vectors, self._gram)
        vectors = vectors + [self._run.weights_at(step) for step in steps[len(vectors) :]]
        gram = displacement_gram(vectors, known) if len(steps) > 1 else None
        self._steps, self._vectors, self._gram = steps, vectors, gram  # all or, if anything failed above, nothing

    def windows(self, choice: SpectrumChoice) -> list[tuple[int, Floats]]:
        """(step, Gram matrix of the W updates that end there) of every step whose window is kept."""
        place = {step: i for i, step in enumerate(self._steps)}
        gram = np.zeros((1, 1)) if self._gram is None else np.pad(self._gram, (1, 0))  # theta_0 - theta_0 is 0
        found = []
        for last in self._steps:
            steps = [last - choice.stride * back for back in range(choice.window, -1, -1)]
            if all(step in place for step in steps):
                ends = [place[step] for step in steps]
                found.append((last, np.diff(np.diff(gram[np.ix_(ends, ends)], axis=0), axis=1)))
        return found


def _logged_windows(metrics: Sequence[dict[str, Any]], window: int) -> list[tuple[int, Any]]:
    """The last ``window`` updates of each matrix in the log."""
    logged = ((line["step"], line["gram_matrix"]) for line in metrics if _is_table(line.get("gram_matrix")))
    return [(step, [row[-window:] for row in g[-window:]]) for step, g in logged if len(g) >= window]


def _is_table(matrix: Any) -> bool:
    return isinstance(matrix, list) and len(matrix) > 1 and all(isinstance(row, list) for row in matrix)


def _series(windows: Sequence[tuple[int, Any]], window: int, centered: bool, found: int) -> SpectrumSeries:
    edges: list[tuple[int, SpectralEdge]] = []
    for step, gram in windows:
        try:
            matrix = torch.from_numpy(np.ascontiguousarray(gram, dtype=np.float64))
            if matrix.shape != (window, window):
                continue
            edges.append((step, edge_from_gram(matrix, tuple, centered)))
        except (TypeError, ValueError):  # no numbers, an update of nothing, or nothing but the mean
            continue
    sigma = np.array([edge.singular_values[:_SHOWN] for _, edge in edges])
    ratios = np.array([edge.gap_ratios[: _SHOWN - 1] for _, edge in edges])
    return SpectrumSeries(
        [step for step, _ in edges],
        sigma,
        np.where(np.isfinite(ratios), ratios, np.nan),
        [edge.position for _, edge in edges],
        [edge.eigengap(2) if len(edge.singular_values) > 2 else float("nan") for _, edge in edges],
        found,
        len(windows) - len(edges),
    )
