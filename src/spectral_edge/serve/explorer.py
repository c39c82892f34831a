"""What directions of a run do to its function, at any step: the edge, mixtures of it, and random directions beside."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.bases import grouping, grouping_names
from spectral_edge.grokking import ModularTask
from spectral_edge.modes import map_responses, mode_energy
from spectral_edge.serve.library import Library
from spectral_edge.serve.spectra import SpectrumChoice
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.statistics import random_directions
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["DIRECTIONS", "RANDOM", "EdgeResponses", "Explorer", "Function"]

Floats = NDArray[np.float64]
Found = TypeVar("Found")

DIRECTIONS = 8
"""Directions of the edge at most."""
RANDOM = 40
"""Random directions of the null: p is at least 1/41."""
_SEED = 0
# 40 MB of responses, or 3 MB of energies, at the size of the paper.
_STEPS_KEPT = 6
# 75 KB each: a film is some hundred of them.
_FRAMES_KEPT = 1000
# A run directory is somebody else's: what it asks for must fit.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class EdgeResponses:
    """Responses to the edge of one window at one step.

    Attributes:
        edge: the spectrum of the window.
        response: (k, N, d) derivatives of the residual stream along v_1 … v_k.
    """

    edge: SpectralEdge
    response: Tensor

    def energy(self, weights: Sequence[float]) -> Floats:
        """f of the unit direction along sum_k w_k v_k: ||sum_k w_k r_k||^2 / ||w||^2, (N,).

        Raises:
            ValueError: more weights than directions, or all are zero.
        """
        w = torch.tensor(weights, dtype=self.response.dtype)
        if len(w) > len(self.response) or not w.any() or not torch.isfinite(w).all():
            raise ValueError(
                f"weights {list(weights)}: give up to {len(self.response)} numbers, not all zero; the window has "
                "no more directions"
            )
        mixture = torch.tensordot(w / w.norm(), self.response[: len(w)], dims=1)
        return mode_energy(mixture[None])[0].numpy()


@dataclass(frozen=True)
class Function:
    """Which f is meant.

    Attributes:
        run: name.
        step: whose weights are moved.
        choice: of the window that ends there.
        weights: of the mixture of its edge.
        random: number of a random direction instead, from 1.
    """

    run: str
    step: int
    choice: SpectrumChoice
    weights: tuple[float, ...]
    random: int | None = None

    def values(self, explorer: Explorer) -> Floats:
        """f at all pairs, (N,); errors as :meth:`Explorer.edge`."""
        if self.random is None:
            return explorer.edge(self.run, self.step, self.choice).energy(self.weights)
        return explorer.random(self.run, self.step)[self.random - 1]


class Explorer:
    """Computes responses when they are asked for, one request at a time, and keeps the last few.

    Args:
        library: of runs.
        threads: that compute.
    """

    def __init__(self, library: Library, threads: int) -> None:
        self._library = library
        self._threads = threads
        self._computing = threading.Lock()
        self._edges: OrderedDict[Hashable, EdgeResponses] = OrderedDict()
        self._nulls: OrderedDict[Hashable, Floats] = OrderedDict()
        self._frames: OrderedDict[Hashable, Floats] = OrderedDict()

    def run(self, name: str) -> TrainedRun:
        """Open a run for analysis.

        Raises:
            ValueError: it is a recording, whose model nobody here can build, or it is too large for this page.
            StoreError, UnknownRunError: it cannot be read.
        """
        path = self._library.path(name)
        if self._library.line(name).kind == "recording":
            raise ValueError(
                f"{name} is a recording of watch(): only its own program knows the model. Pass it the directions: "
                "se.functional_modes(model, recording.edge(step).directions(3), inputs)"
            )
        run = TrainedRun.open(path)
        training = run.training
        size = 4 * training.p**2 * max(training.d_model, training.d_mlp) * DIRECTIONS
        if size > _MOST_BYTES:
            raise ValueError(
                f"{name}: responses of {training.p}² inputs would take {size >> 20} MiB, above {_MOST_BYTES >> 20}; "
                "use se.iterate_responses on a part of the inputs"
            )
        return run

    def bases(self, task: ModularTask) -> list[str]:
        """Groupings that exist for the task's modulus, its own first; of outputs only its own."""
        names = []
        for name in grouping_names():
            if ":" in name and not name.endswith(f":{task.name}"):
                continue
            try:
                if (grouping(name, task.p)(task.pairs) >= 0).any():
                    names.append(name)
            except ValueError:  # no prime, or no square root of -1
                continue
        own = [name for name in _own_bases(task.name) if name in names]
        return [*own, *(name for name in names if name not in own)]

    def edge(self, name: str, step: int, choice: SpectrumChoice) -> EdgeResponses:
        """Responses to v_1 … v_8, or as many as the window determines.

        Raises:
            ValueError: the run does not keep such a window; and as :meth:`run`.

        Cost: a tenth of a second a direction on one core at the size of the paper; kept for the last few.
        """

        def compute() -> EdgeResponses:
            run = self.run(name)
            edge = run.edge(step, choice.window, choice.stride, choice.centered)
            k = min(DIRECTIONS, edge.identifiable)
            return EdgeResponses(edge, torch.cat(self._responses(run, step, edge.directions(k), lambda r: r)))

        return self._once(self._edges, _STEPS_KEPT, (name, self._library.stamp(name), step, choice), compute)

    def random(self, name: str, step: int) -> Floats:
        """f of :data:`RANDOM` random unit directions in the same weights at the same step, (n, N); seconds, once."""

        def compute() -> Floats:
            run = self.run(name)
            directions = random_directions(RANDOM, run.model_at(step)[1].dim, _SEED)
            return torch.cat(self._responses(run, step, directions, mode_energy)).numpy()

        return self._once(self._nulls, _STEPS_KEPT, (name, self._library.stamp(name), step), compute)

    def frame(self, name: str, step: int, choice: SpectrumChoice, k: int) -> Floats:
        """f_k alone, (N,): an eighth of the cost of :meth:`edge`; errors as there."""

        def compute() -> Floats:
            run = self.run(name)
            direction = run.edge(step, choice.window, choice.stride, choice.centered).directions(k)[k - 1 :]
            return torch.cat(self._responses(run, step, direction, mode_energy))[0].numpy()

        return self._once(self._frames, _FRAMES_KEPT, (name, self._library.stamp(name), step, choice, k), compute)

    def _responses(
        self, run: TrainedRun, step: int, directions: Tensor, read: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        model, parameters = run.model_at(step)
        inputs = torch.from_numpy(run.task.pairs)
        return list(map_responses(read, model, directions, inputs, parameters=parameters, threads=self._threads))

    def _once(
        self, kept: OrderedDict[Hashable, Found], most: int, key: Hashable, compute: Callable[[], Found]
    ) -> Found:
        with self._computing:
            found = kept.pop(key) if key in kept else compute()
            kept[key] = found
            while len(kept) > most:
                kept.popitem(last=False)
            return found


def _own_bases(name: str) -> list[str]:
    """Groupings in which the paper reads an operation, first the one it is simple in."""
    known = {"add": ["sum"], "sub": ["difference"], "mul": ["discrete_log"], "div": ["discrete_log_difference"]}
    return [*known.get(name, []), f"output:{name}"]
