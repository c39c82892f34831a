"""Edges and values of windows of updates between checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from torch import Tensor

from spectral_edge.recording.checkpoint_adapters import CheckpointAdapters
from spectral_edge.recording.checkpoint_updates import CheckpointUpdates
from spectral_edge.recording.live import TURNING, LiveValues, turn
from spectral_edge.spectrum import SpectralEdge, edge_from_gram
from spectral_edge.store import RunMissingError

__all__ = ["CheckpointWindows"]


class CheckpointWindows:
    """Edges of any window from one Gram matrix of all updates, which is computed when it is first needed.

    Args:
        updates: between all checkpoints.
        window: W.
    """

    def __init__(self, updates: CheckpointUpdates | CheckpointAdapters, window: int) -> None:
        self._updates = updates
        self._window = window
        self._steps = [checkpoint.step for checkpoint in updates.checkpoints[1:]]  # at which an update ends

    @cached_property
    def _gram(self) -> Tensor:
        gram, checkpoints = self._updates.gram_matrix(), self._updates.checkpoints
        for place in (gram.diagonal() == 0).nonzero().flatten().tolist():
            raise ValueError(
                f"{checkpoints[place].place} and {checkpoints[place + 1].place} hold the same weights in these "
                "parameters; leave one out, or choose parameters that were trained"
            )
        return gram

    @property
    def steps(self) -> list[int]:
        """Training steps at which a window ends, ascending."""
        return self._steps[self._window - 1 :]

    def edge(self, step: int, window: int | None = None, center: bool = True) -> SpectralEdge:
        """The edge of the ``window`` updates that end at ``step``.

        Raises:
            StoreError: there are not as many updates up to that step, or a file is damaged.
        """
        place = self._place(step, self._window if window is None else window)
        rows = self._updates.between(place.start, place.stop)
        edge = edge_from_gram(self._gram[place, place], lambda: rows, center, dim=rows.dim)
        return edge.in_layout(tuple(self._updates.names))

    def _place(self, step: int, window: int) -> slice:
        steps = self._steps
        end = steps.index(step) + 1 if step in steps else 0
        if end < window:
            known = steps[window - 1 :]
            span = f"{known[0]} to {known[-1]}" if known else "none"
            raise RunMissingError(f"no window of {window} updates ends at step {step}; known: {span}.")
        return slice(end - window, end)

    def values(self) -> Iterator[tuple[LiveValues, Tensor]]:
        """Values and Gram matrix of windows that hold new updates only, the first ones first."""
        previous: tuple[slice, np.ndarray] | None = None
        for step in self._steps[self._window - 1 :: self._window]:
            place = self._place(step, self._window)
            edge = self.edge(step, center=False)
            own = edge.coefficients(min(TURNING, edge.identifiable))
            overlaps = None
            if previous is not None:
                overlaps = own @ self._gram[place, previous[0]].numpy() @ previous[1].T
            yield LiveValues.of(edge, self._steps[place], *turn(overlaps), None), self._gram[place, place]
            previous = place, own
