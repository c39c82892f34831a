"""A recorder: updates go in, the edge of the last W of them comes out, and its failures do not reach the loop."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.recording.archive import Archive
from spectral_edge.recording.cost import Cost
from spectral_edge.recording.layout import LayoutGuard
from spectral_edge.recording.live import LiveSpectrum, LiveValues
from spectral_edge.recording.resolution import warn_if_coarse
from spectral_edge.recording.sources import Flag
from spectral_edge.recording.storage import KeptUpdates
from spectral_edge.spectrum import SpectralEdge, UpdateWindow

__all__ = ["Recorder", "RecordingStoppedError"]

logger = logging.getLogger("spectral_edge")


class RecordingStoppedError(RuntimeError):
    """Recording has stopped, and why; training goes on."""


class Recorder:
    """The last W updates theta_t - theta_{t - every} of a parameter subset; made by :func:`watch`.

    A context manager: leaving the block removes its hooks and closes its files; what was recorded stays readable.

    Attributes:
        parameters: what is recorded, in the model.
        every: training steps between recorded parameters, the ``stride`` of the updates.
        steps: training steps seen.
        cost: what it takes, of this process.
        stopped: why recording has stopped, or ``None``.
    """

    def __init__(
        self,
        parameters: ParameterSubset,
        values: ParameterSubset,
        kept: KeptUpdates,
        *,
        every: int,
        cost: Cost,
        guard: LayoutGuard | None,
        live: LiveSpectrum | None,
        archive: Archive | None,
        callback: Callable[[LiveValues], None] | None,
    ) -> None:
        self.parameters = parameters
        self.every = every
        self.cost = cost
        self.steps = 0
        self.stopped: str | None = None
        self._values = values
        self._kept = kept
        self._guard = guard  # None where there is no optimizer: updates are given
        self._live = live
        self._archive = archive
        self._callback = callback
        self._products = kept.inner_products()
        self._recorded = 0
        self._last_seen: list[int] = []  # step of the newest update at the last look
        self._stepped: set[int] = set()  # optimizers, since the last commit
        self._hooked = self._warned = False
        self._told = False  # whether the other processes know that this one has stopped
        self._closing = contextlib.ExitStack()

    @property
    def window(self) -> UpdateWindow:
        """The rolling window and its Gram matrix, of sketches if ``storage="sketch"``."""
        return self._kept.window

    # What the loop calls

    def note_step(self, optimizer: int) -> None:
        """Mark that an optimizer has stepped; the hooks of :func:`watch` do."""
        self._stepped.add(optimizer)
        self._hooked = True

    def has_stepped(self, optimizer: int) -> bool:
        """Whether an optimizer has stepped since the last commit."""
        return optimizer in self._stepped

    @property
    def pending(self) -> bool:
        """Whether any optimizer has stepped since the last commit."""
        return bool(self._stepped)

    def commit(self, step: int | None = None) -> None:
        """End a training step: record the update since the last recorded one, if it is the turn of this step.

        The hooks of :func:`watch` call it, unless it was told ``automatic=False``. A call with no optimizer step since
        the last one changes nothing, unless no hook was ever seen to run (a replayed CUDA graph).

        Args:
            step: the training step's number for the record; counted from 1 if left out.

        Raises:
            ValueError: there is no optimizer. Nothing else raises from here.
        """
        source = self._kept.source
        if self._hooked and not self._stepped:
            if not self._warned:
                logger.warning(
                    "spectral-edge: Recorder.commit after training step %d ignored: no optimizer has stepped since the "
                    "last commit (a skipped step, or a second commit). Call it once a training step, or leave it to "
                    "the hooks.",
                    self.steps,
                )
            self._warned = True
            return
        self._stepped.clear()
        self.steps += 1
        if self.steps % self.every == 0:
            self._guarded(partial(self._record, source.anchor, self.steps if step is None else step))

    def update(self, delta: Tensor | Mapping[str, Tensor], step: int | None = None) -> None:
        """Record an update that you have measured yourself, where parameters cannot be read (FSDP1, DeepSpeed).

        Unlike :meth:`commit` it raises: what is wrong with the update is the caller's to know.

        Args:
            delta: (D,) in the layout of ``parameters``, or name -> tensor.
            step: the training step's number; counted from 1 if left out.

        Raises:
            ValueError: another number of entries, not finite, or exactly zero.
            RecordingStoppedError: recording has stopped.
        """
        self._raise_if_stopped()
        vector = (delta if isinstance(delta, Tensor) else self.parameters.flatten(delta)).detach()
        if vector.shape != (self.parameters.dim,):
            raise ValueError(
                f"Recorder.update: delta has shape {tuple(vector.shape)}, but these parameters need "
                f"({self.parameters.dim},)"
            )
        if not torch.isfinite(vector).all() or not vector.any():
            raise ValueError("Recorder.update: delta is not finite or exactly zero; skip this step")
        self.steps += 1
        self._kept.put(vector, self.steps if step is None else step)
        self._guarded(self._look_if_due)

    def _record(self, anchor: Tensor, step: int) -> None:
        moved, unusable = self._agreed_look(anchor) if self._products.sharded else self._look()
        if self._recorded == 0 and moved:  # reads an accelerator once
            warn_if_coarse(self._values, anchor)
        if self._kept.deferred:
            moved, unusable = (torch.as_tensor(flag, device=anchor.device) for flag in (moved, unusable))
            self._kept.take(step, moved & ~unusable)
        elif unusable:
            raise ValueError(
                f"the update of step {step} has NaN or infinite entries; the window keeps the updates before it"
            )
        elif moved:
            self._kept.take(step, None)
        else:
            return
        self._look_if_due()

    def _look(self) -> tuple[Flag, Flag]:
        """Has anything moved, is anything not finite?"""
        if self._guard is not None:
            self._guard.check()
        return self._kept.source.look()

    def _agreed_look(self, anchor: Tensor) -> tuple[Flag, Flag]:
        """The same answers in all processes that hold shards.

        Raises:
            RecordingStoppedError: another process has stopped.
        """

        def here() -> Tensor:
            flags = self._look()  # also in a process that has stopped: the others may need its part of a sum
            found = [torch.as_tensor(flag, device=anchor.device) for flag in (*flags, self.stopped is not None)]
            return torch.stack(found).double()

        try:
            total = self._products.total(here, torch.zeros(3, dtype=torch.float64, device=anchor.device))
        except Exception:
            self._told = True  # by the NaN that it left in the sum
            raise
        if self._kept.deferred:
            return total[0] > 0, (total[1] > 0) | (total[2] != 0)
        moved, unusable, stopped = total.tolist()
        if stopped or moved != moved:  # NaN: a process failed while it looked
            self._told = True
            raise RecordingStoppedError("another process stopped recording; its log says why")
        return moved > 0, unusable > 0

    def _look_if_due(self) -> None:
        """After every W updates the window holds new ones only: log its spectrum."""
        self._recorded += 1
        if self._live is None or self._recorded % self.window.size:
            return
        if self._kept.deferred and self.window.steps[-1:] == self._last_seen:
            raise ValueError(f"the last {self.window.size} updates were all zero or not finite, and dropped")
        self._last_seen = self.window.steps[-1:]
        if not self.window.full:
            return
        values = self._live.values(self.window, self._kept.noise_floor)
        if self._archive is not None:
            self._archive.append(values, self.window, self._kept.exact)
        if self._callback is not None:
            self._callback(values)

    # What fails here must not reach the loop

    def _guarded(self, action: Callable[[], None]) -> None:
        if self.stopped is not None and (self._told or not self._products.sharded):
            return
        try:
            action()
        except Exception as problem:
            self.stop(f"{type(problem).__name__}: {problem}")

    def stop(self, why: str) -> None:
        """Stop recording for good, and say so once; training goes on, and so do reads of what was recorded."""
        if self.stopped is None:
            self.stopped = why
            logger.warning("spectral-edge: recording stopped at training step %d: %s", self.steps, why)

    def _raise_if_stopped(self) -> None:
        if self.stopped is not None:
            raise RecordingStoppedError(f"recording stopped at training step {self.steps}: {self.stopped}")

    # What the user reads

    def edge(self, step: int | None = None, *, center: bool = True) -> SpectralEdge:
        """The spectral edge of the last W updates, or of the W that end at a recorded step, from the run directory.

        If recording has stopped, that of the last W before it did. Where parameters are sharded, all processes must
        call.

        Args:
            step: a training step at which an update was recorded; now if left out.
            center: subtract the mean of the window.

        Raises:
            ValueError: fewer than W updates have been recorded yet, or a step without a run directory.
            RecordingStoppedError: recording stopped before there were W.
            StoreError: nothing is kept of that step.
        """
        if step is not None:
            if self._archive is None:
                raise ValueError("Recorder.edge: earlier steps are read from disk; give watch a run_dir")
            return self._archive.edge(step, self.window.size, center=center, products=self._products)
        if not self.window.full:
            self._raise_if_stopped()
        return self._kept.edge(center)

    # State

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise, to be saved with the training state; of this process."""
        state = self._kept.state_dict() | {"counts": torch.tensor([self.steps, self._recorded])}
        if self._live is not None and self._live.previous is not None:
            state["edge"] = self._live.previous.clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`; a run directory forgets what came after.

        Raises:
            ValueError: the state is of another window, storage or parameter subset.
        """
        own = {"counts", "edge"}
        self._kept.load_state_dict({name: value for name, value in state.items() if name not in own})
        if self._live is not None:
            self._live.restore(state.get("edge"), self.window)
        self.steps, self._recorded = state["counts"].tolist()
        self.stopped, self._told = None, False
        if self._archive is not None:
            self._archive.rewind(self.window.steps[-1] if self.window.pushed else -1)

    def on_close(self, action: Callable[[], None]) -> None:
        """Do this when the recorder is closed, last given first."""
        self._closing.callback(action)

    def close(self) -> None:
        """Remove the hooks and close the files; reading the edge stays possible."""
        self._closing.close()
        if self._archive is not None:
            self._archive.close(self.steps, self.stopped)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception as problem:  # a full disk at the very end must not hide how training ended
            warnings.warn(f"spectral-edge: closing the recorder failed: {problem}", stacklevel=2)

    def __repr__(self) -> str:
        stopped = "" if self.stopped is None else f", stopped: {self.stopped}"
        return (
            f"Recorder({self.parameters}, window={self.window.size}, every={self.every}, steps={self.steps}{stopped})"
        )
