"""What is done with each window of new updates: its values go to the log, to a callback, and to whoever keeps modes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from spectral_edge.recording.archive import Archive
from spectral_edge.recording.live import LiveSpectrum, LiveValues
from spectral_edge.recording.monitor import Monitor
from spectral_edge.recording.storage import KeptUpdates
from spectral_edge.spectrum import UpdateWindow

if TYPE_CHECKING:
    from spectral_edge.recording.kept_modes import ModeKeeper

__all__ = ["WindowLog"]

logger = logging.getLogger("spectral_edge")


class WindowLog:
    """Writes what is seen of a window that holds new updates only.

    Args:
        live: compares each window's spectrum with that of the window before.
        monitor: what is watched beside it.
        archive: where it is written, if anywhere.
        callback: what is called with it, if anything.
    """

    def __init__(
        self,
        live: LiveSpectrum,
        monitor: Monitor,
        archive: Archive | None,
        callback: Callable[[LiveValues], None] | None,
    ) -> None:
        self._live = live
        self._monitor = monitor
        self._archive = archive
        self._callback = callback
        self._failing = False  # the callback, when it was last called
        self._modes: ModeKeeper | None = None

    def note(self, values: Mapping[str, float | Tensor]) -> None:
        """Take numbers of a training step; their means are part of the next window's values."""
        self._monitor.note(values)

    def keep_modes(self, keeper: ModeKeeper) -> None:
        """Keep the modes of each window, too, from now on."""
        self._modes = keeper

    def add(self, kept: KeptUpdates) -> None:
        """Write the updates, and the values of the window if it is full."""
        if self._archive is not None:
            self._archive.keep(kept.exact)
        if not kept.window.full:
            return
        values = self._live.values(kept.window, kept.noise_floor)
        values = self._monitor.added_to(values, kept.window, self._live.previous, kept.decay)
        if self._archive is not None:
            self._archive.log(values, kept.window)
        self._tell(values)
        self._add_modes(kept, values.step)

    def _tell(self, values: LiveValues) -> None:
        """Call the callback. Its failure does not end the recording, and is told of once until it succeeds again."""
        if self._callback is None:
            return
        try:
            self._callback(values)
        except Exception as problem:
            if not self._failing:
                logger.warning(
                    "spectral-edge: the callback failed at step %d; it is called again after the next window: %s: %s",
                    values.step,
                    type(problem).__name__,
                    problem,
                    exc_info=problem,
                )
            self._failing = True
        else:
            self._failing = False

    def _add_modes(self, kept: KeptUpdates, step: int) -> None:
        """Failures end this, and not the recording: what is looked at is code of the user's."""
        if self._modes is None or self._archive is None:
            return
        try:
            modes = self._modes.of(kept.edge(center=False, copy=False).directions(self._modes.k))
            self._archive.keep_modes(step, modes, self._modes.labels)
        except Exception as problem:
            self._modes = None
            logger.warning(
                "spectral-edge: no modes are kept from step %d on: %s: %s", step, type(problem).__name__, problem
            )

    @property
    def remembered(self) -> Tensor | None:
        """What the next window is compared with."""
        return self._live.previous

    @property
    def noted(self) -> dict[str, Tensor]:
        """By name, numbers noted since the last line."""
        return self._monitor.noted

    def restore(self, remembered: Tensor | None, window: UpdateWindow, noted: Mapping[str, Tensor]) -> None:
        """Compare the next window with this, and go on from these notes."""
        self._live.restore(remembered, window)
        self._monitor.restore(noted)
