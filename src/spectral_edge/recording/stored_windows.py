"""Edges of the windows that a run directory holds, of updates where they are kept, else of Gram matrices in the log."""

from __future__ import annotations

from itertools import pairwise
from typing import NoReturn

import torch
from torch import Tensor

from spectral_edge.recording.configuration import RecordingConfig
from spectral_edge.spectrum import InnerProducts, SpectralEdge, edge_from_gram, noise_floor
from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError

__all__ = ["StoredWindows"]


class StoredWindows:
    """Edges from what a run directory holds, which is checked when it is read.

    Args:
        run: the directory.
        config: what its recorder recorded.
    """

    def __init__(self, run: RunDirectory, config: RecordingConfig) -> None:
        self._run = run
        self._config = config

    @property
    def steps(self) -> list[int]:
        """Training steps at which a window ends whose edge can be had, ascending."""
        logged = {int(line["step"]) for line in self._run.metrics()}
        kept = [] if self._config.processes > 1 else [step for chunk in self._chunks().values() for step in chunk]
        return sorted({*logged, *kept[self._config.window - 1 :]})

    def edge(
        self, step: int, window: int | None = None, center: bool = True, products: InnerProducts | None = None
    ) -> SpectralEdge:
        """Of the updates if they are kept, else of the Gram matrix in the log.

        Args:
            step: where the window ends.
            window: W; that of the recording if left out, and no larger where updates are not kept.
            center: subtract its mean.
            products: over all processes; ``None`` to read what one process can.

        Raises:
            ValueError: the window is larger than what is kept.
            StoreError: nothing is kept of that step, or it is damaged.
        """
        size = self._config.window if window is None else window
        sharded = self._config.processes > 1
        if self._config.keep_updates and (products is not None or not sharded):
            rows = self._rows(step, size)
            found = (products or InnerProducts())(rows)
            return edge_from_gram(found, lambda: (rows,), center, sharded, dim=self._config.dim)
        if size > self._config.window:
            raise ValueError(f"window = {size}: the log has windows of {self._config.window} updates, and no others")
        edge = edge_from_gram(self._gram(step)[-size:, -size:], self._no_rows, center, sharded, dim=self._config.dim)
        sketch = self._config.sketch_size
        return edge if sketch is None else edge.as_sketch(noise_floor(edge, sketch), self._no_rows)

    def _gram(self, step: int) -> Tensor:
        line = next((line for line in self._run.metrics() if line["step"] == step), None)
        if line is None:
            raise self._missing(step, self._config.window)
        size = self._config.window
        try:
            gram = torch.tensor(line["gram_matrix"], dtype=torch.float64)
        except (KeyError, TypeError, ValueError):
            gram = torch.zeros(0)
        if gram.shape != (size, size) or not torch.allclose(gram, gram.T, rtol=1e-6, atol=0.0):
            raise RunCorruptError(
                f"{self._run.path}/metrics.jsonl: the Gram matrix of step {step} is no symmetric {size} x {size} "
                "matrix. The file was damaged or edited."
            )
        return gram

    def _chunks(self) -> dict[int, list[int]]:
        """Steps of the updates in each file of updates, checked to be ascending over all."""
        chunks = {end: extra.get("steps") for end, extra in self._run.update_extras().items()}
        flat: list[int] = []
        for end, steps in chunks.items():
            if not isinstance(steps, list) or not all(type(step) is int for step in steps) or steps[-1:] != [end]:
                raise RunCorruptError(f"{self._run.path}/updates.jsonl: the steps of file {end} are damaged or edited.")
            flat += steps  # type: ignore[arg-type]
        if any(after <= before for before, after in pairwise(flat)):
            raise RunCorruptError(f"{self._run.path}/updates.jsonl: the steps of updates do not ascend.")
        return chunks  # type: ignore[return-value]

    def _rows(self, step: int, window: int) -> Tensor:
        """(W, D), the updates that end at ``step``."""
        chunks = self._chunks()
        known = [(end, place, s) for end, steps in chunks.items() for place, s in enumerate(steps)]
        last = next((i for i, (*_, s) in enumerate(known) if s == step), -1)
        first = last - window + 1
        if last < 0 or first < 0:
            raise self._missing(step, window)
        rows = []
        for end in dict.fromkeys(end for end, *_ in known[first : last + 1]):
            updates = self._run.read_updates(end).get("updates")
            if updates is None or updates.shape != (len(chunks[end]), self._config.dim):
                raise RunCorruptError(
                    f"{self._run.path}: the updates up to step {end} are not {len(chunks[end])} vectors of "
                    f"{self._config.dim}. The file was damaged or edited."
                )
            rows += [updates[place] for file, place, _ in known[first : last + 1] if file == end]
        return torch.stack(rows)

    def _missing(self, step: int, window: int) -> RunMissingError:
        steps = self.steps
        span = f"{steps[0]} to {steps[-1]}" if steps else "none"
        hint = "" if self._config.keep_updates else "; record with keep_updates=True for every recorded step"
        return RunMissingError(
            f"{self._run.path}: no window of {window} updates ends at step {step}; known: {span}{hint}."
        )

    def _no_rows(self) -> NoReturn:
        if self._config.processes > 1:
            raise RunMissingError(
                f"{self._run.path}: directions of a model that was sharded over {self._config.processes} processes are "
                "in no one of them; ask Recorder.edge(step) in all of them while they run."
            )
        raise RunMissingError(
            f"{self._run.path}: the updates are not kept, only the spectra of whole windows; record with "
            "keep_updates=True for directions."
        )
