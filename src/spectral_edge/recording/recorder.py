"""A recorder: updates go in, the edge of the last W of them comes out, and its failures do not reach the loop."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from spectral_edge.parameters import ParameterSubset
from spectral_edge.recording.agreement import Agreement, RecordingStoppedError
from spectral_edge.recording.archive import Archive
from spectral_edge.recording.cost import Cost
from spectral_edge.recording.gradients import SourceGradient
from spectral_edge.recording.layout import LayoutGuard
from spectral_edge.recording.parts import PartWindow, UpdatePart, below
from spectral_edge.recording.refusals import check_modes, check_notes, checked_update
from spectral_edge.recording.resolution import Resolution, unmoved
from spectral_edge.recording.sources import Source
from spectral_edge.recording.steps import TrainingSteps
from spectral_edge.recording.storage import KeptUpdates
from spectral_edge.recording.window_log import WindowLog
from spectral_edge.spectrum import SpectralEdge, UpdateWindow
from spectral_edge.store import Labels

if TYPE_CHECKING:
    from spectral_edge.modes import Forward, Inputs

__all__ = ["Recorder"]

logger = logging.getLogger("spectral_edge")


class Recorder:
    """The last W updates theta_t - theta_{t - every} of a parameter subset; made by :func:`watch`.

    A context manager: leaving the block removes its hooks and closes its files; what was recorded stays readable.

    Attributes:
        parameters: what is recorded, in the model.
        every: training steps between recorded parameters, the ``stride`` of the updates.
        automatic: whether hooks on the optimizers end training steps.
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
        log: WindowLog | None,
        archive: Archive | None,
        automatic: bool,
        identity: int,
        model: nn.Module,
        first: bool,
    ) -> None:
        self._first = first  # whether this process writes for all
        self._model = model
        self.parameters = parameters
        self.every = every
        self.cost = cost
        self.automatic = automatic
        self.stopped: str | None = None
        self._values = values
        self._kept = kept
        self._guard = guard  # None where there is no optimizer: updates are given
        self._log = log  # None where nobody wants to see each window
        self._archive = archive
        self._identity = identity
        self._agreement = Agreement(kept.inner_products(), kept.deferred)
        self._steps = TrainingSteps(every)
        self._resolution = Resolution()
        self._recorded = 0  # updates
        self._process = os.getpid()
        self._last_seen: list[int] = []  # step of the newest update at the last look
        self._closed = False
        self._closing = contextlib.ExitStack()

    def keep_part(self, part: PartWindow) -> None:
        """Keep a part of each update from now on; :func:`watch` calls it."""
        self._kept.keep_part(part)
        self.on_close(part.part.close)

    @property
    def window(self) -> UpdateWindow:
        """The rolling window and its Gram matrix, of sketches if ``storage="sketch"``."""
        return self._kept.window

    @property
    def steps(self) -> int:
        """Training steps seen."""
        return self._steps.count

    # What the loop calls

    def note_step(self, optimizer: int) -> None:
        """Mark that an optimizer has stepped; the hooks of :func:`watch` do."""
        self._steps.note(optimizer)

    def has_stepped(self, optimizer: int) -> bool:
        """Whether an optimizer has stepped since the last commit."""
        return optimizer in self._steps.stepped

    @property
    def pending(self) -> bool:
        """Whether any optimizer has stepped since the last commit."""
        return bool(self._steps.stepped)

    def commit(self, step: int | None = None) -> None:
        """End a training step: record the update since the last recorded one, if it is the turn of this step.

        The hooks of :func:`watch` call it, unless it was told ``automatic=False``. A call with no optimizer step since
        the last one changes nothing, unless no hook was ever seen to run (a replayed CUDA graph).

        Args:
            step: the training step's number for the record, above that of the last one; counted from 1 if left out.

        Raises:
            ValueError: there is no optimizer. Nothing else raises from here.
        """
        source = self._kept.source
        if self._steps.end():
            self.guarded(partial(self._record, source, self.steps if step is None else step))

    def note(self, **values: float | Tensor) -> None:
        """Keep numbers of this training step, ``note(loss=loss)``; their means go into the log with the next window.

        A tensor is read when a line is written, so an accelerator is not waited for. A mean that is not finite is left
        out of the log.

        Args:
            values: names and numbers, or tensors of one number.

        Raises:
            ValueError: a tensor of several numbers; names it.
        """
        check_notes(values)
        if self._log is not None:
            self.guarded(partial(self._log.note, values))

    def keep_modes(self, inputs: Inputs, forward: Forward | None = None, *, k: int = 3, labels: Labels = ()) -> None:
        """Keep what v_1 … v_k of each window from now on do to some inputs, for :meth:`Recording.modes` and its report.

        After every W recorded updates, at the weights of then, in the first process. If that fails one day, it is
        logged and no more are kept; the recording goes on.

        Args:
            inputs: a tensor or a mapping of tensors; a hundred will do.
            forward: ``forward(model, batch) -> (n, …)``, what is looked at; the output if left out. For a language
                model :func:`~spectral_edge.language.token_log_probabilities`.
            k: directions.
            labels: what the report calls each input; of a language model the tokens of each sequence, as texts.

        Raises:
            ValueError: there is no ``run_dir`` to keep them in; parameters are sharded; ``k`` is below 1 or above W;
                labels do not fit. What ``forward`` raises comes through, too: it is tried now.

        Cost after every W updates: as :func:`~spectral_edge.modes.functional_modes` of k directions.
        """
        if not self._first and not self._agreement.sharded:
            return  # the first process keeps them
        check_modes(k, self.window.size, self._archive is not None and self._log is not None, self._agreement.sharded)
        from spectral_edge.recording.kept_modes import ModeKeeper  # 60 MB of modules that a spectrum does not need

        assert self._log is not None
        self._log.keep_modes(ModeKeeper(self._model, self.parameters, inputs, forward, k, labels))

    @contextlib.contextmanager
    def source(self, name: str, scale: float = 1.0) -> Iterator[None]:
        """Count what backward passes in this block add to the gradients as one source's, for ``edge(of="gradient")``.

        Call ``zero_grad`` before the blocks, not in them; see :class:`SourceGradient`.

        Args:
            name: one of the ``sources`` that :func:`watch` was given.
            scale: what the loss is multiplied by, ``scaler.get_scale()`` with a gradient scaler.

        Raises:
            ValueError: the source is unknown, or ``scale`` is not above 0. Nothing else raises from here.
        """
        gradient = cast(SourceGradient, self._kept.part_of_source(name).part)
        if not scale > 0:
            raise ValueError(f"Recorder.source: scale = {scale}; it is what the loss is multiplied by, above 0")
        self.guarded(partial(gradient.begin, scale))
        try:
            yield
        finally:
            self.guarded(gradient.end)

    def update(self, delta: Tensor | Mapping[str, Tensor], step: int | None = None) -> None:
        """Record an update that you have measured yourself, where parameters cannot be read (FSDP1, DeepSpeed).

        Once recording has stopped, nothing happens.

        Args:
            delta: (D,) in the layout of ``parameters``, or name -> tensor.
            step: the training step's number, above that of the last one; counted from 1 if left out.

        Raises:
            ValueError: another number of entries, not finite, or exactly zero. Nothing else raises from here.
        """
        vector = checked_update(delta, self.parameters)
        self._steps.count += 1
        self.guarded(partial(self._put, vector, self.steps if step is None else step))

    def _put(self, vector: Tensor, step: int) -> None:
        self._check_step(step)
        self._kept.put(vector, step)
        self._recorded += 1
        self._look_if_due()

    def _record(self, source: Source, step: int) -> None:
        check = partial(self._check_layout, step)
        moved, unusable = self._agreement.look(source, check, self.stopped is not None, self.stop)
        self._resolution.look(moved, unusable, self._values, self._kept.anchor, self.window.size, self.steps)
        if self._kept.deferred:
            moved, unusable = (torch.as_tensor(flag, device=source.anchor.device) for flag in (moved, unusable))
            kept = moved & ~unusable
        elif unusable:
            raise ValueError(
                f"the update of step {step} has NaN or infinite entries; the window keeps the updates before it"
            )
        elif not moved:
            return
        else:
            kept = None
        failure: Exception | None = None
        try:
            self._kept.take(step, kept)
        except Exception as problem:
            failure = problem
        self._recorded += 1
        self._look_if_due(failure)

    def _check_step(self, step: int) -> None:
        """Raise if the directory holds an older recording, whose edge would be taken for a new one, or steps fall."""
        if self._archive is not None:
            self._archive.refuse_to_overwrite()
        self._steps.check_rising(step)

    def _check_layout(self, step: int) -> None:
        self._check_step(step)
        if self._guard is not None:
            self._guard.check()
            self._follow_masters(self._guard)

    def _follow_masters(self, guard: LayoutGuard) -> None:
        masters = guard.new_masters(self._values)
        if masters is not None:
            if self._agreement.sharded:
                raise ValueError("the optimizer has made other master weights; close this recorder and watch again")
            self._values = masters
            self._kept.read_from(masters)

    def _look_if_due(self, failure: Exception | None = None) -> None:
        """After every W updates the window holds new ones only: write them, and log its spectrum."""
        if self._log is not None and self._recorded % self.window.size == 0:
            self._agreement.go_on(failure, self.stopped is not None)
            if self._kept.deferred and self.window.steps[-1:] == self._last_seen:
                raise ValueError(f"the last {self.window.size} updates were all zero or not finite, and dropped")
            self._last_seen = self.window.steps[-1:]
            self._log.add(self._kept)
        elif failure is not None:
            raise failure

    # What fails here must not reach the loop

    def guarded(self, action: Callable[[], None]) -> None:
        """Do something that belongs to the recording: a failure stops it, and does not reach the loop."""
        if self.stopped is not None and (self._agreement.told or not self._agreement.sharded):
            return
        if os.getpid() != self._process:
            self.stop("this process is a fork of the one that records, whose window and files it shares")
            return
        try:
            action()
        except Exception as problem:
            self.stop(f"{type(problem).__name__}: {problem}")
        except BaseException as problem:  # Ctrl-C is the user's, but what it interrupted is not whole
            self.stop(f"interrupted by {type(problem).__name__}")
            raise

    def stop(self, why: str) -> None:
        """Stop recording for good, and say so once; training goes on, and so do reads of what was recorded."""
        if self.stopped is None:
            self.stopped = why
            logger.warning("spectral-edge: recording stopped at training step %d: %s", self.steps, why)

    # What the user reads

    def edge(
        self, step: int | None = None, *, center: bool = True, of: UpdatePart = "update", source: str | None = None
    ) -> SpectralEdge:
        """The spectral edge of the last W updates, or of the W that end at a recorded step, from the run directory.

        If recording has stopped, that of the last W before it did, with a warning. Where parameters are sharded, all
        processes must call.

        Args:
            step: a training step at which an update was recorded; now if left out.
            center: subtract the mean of the window.
            of: the updates, their weight decay alone, or the rest of them, which is what gradients did; the parts need
                ``watch(…, decay=True)`` and are of now.
            source: with ``of="gradient"``, the gradients of this source alone, as :meth:`source` has seen them, before
                clipping and without the optimizer's metric: of the last W updates in which it took part.

        Raises:
            ValueError: fewer than W updates have been recorded yet, or nothing has moved, or a step without a run
                directory, or a part that is not recorded.
            RecordingStoppedError: recording stopped before there were W.
            StoreError: nothing is kept of that step, or the disk refuses the updates up to now.
        """
        if step is not None:
            if of != "update" or source is not None:
                raise ValueError(f"Recorder.edge: of={of!r} is known of the last W updates only; leave step out")
            if self._archive is None:
                raise ValueError("Recorder.edge: earlier steps are read from disk; give watch a run_dir")
            if self.stopped is None:
                self._archive.keep(self._kept.exact)  # updates since the last line of the log, too
            return self._archive.edge(step, center=center, products=self._agreement.products)
        if self.stopped is not None:
            self._tell_of_the_stop()
        elif self._resolution.unmoved and not self.window.pushed:
            raise ValueError(f"Recorder.edge: {unmoved(self._values, self.steps)}")
        return self._kept.edge(center, of, source).in_layout(self.parameters.names)

    def _tell_of_the_stop(self) -> None:
        """What is read now is older than the weights: raise if there is nothing, else warn.

        Raises:
            RecordingStoppedError: recording stopped before the window was full.
        """
        why = f"recording stopped at training step {self.window.steps[-1] if self.window.pushed else 0}: {self.stopped}"
        if not self.window.full:
            raise RecordingStoppedError(why)
        older = f"This is the edge of the updates up to there, while training has gone on to step {self.steps}."
        warnings.warn(f"{why}. {older}", RuntimeWarning, stacklevel=3)

    # State

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise, to be saved with the training state; of this process."""
        counts = torch.tensor([self.steps, self._recorded, self._identity])
        state = self._kept.state_dict() | {"counts": counts}
        if self.pending:  # of several optimizers, before the commit that ends their step
            state["stepped"] = torch.tensor(sorted(self._steps.stepped))
        if self._log is not None:
            state |= {f"noted.{name}": values for name, values in self._log.noted.items()}
            if self._log.remembered is not None:
                state["edge"] = self._log.remembered.clone()
        return state

    def all_can_restore(self, state: Mapping[str, Tensor]) -> bool:
        """Whether each process that holds shards, all of which must call, has been given a state of its recorder."""
        return not self._agreement.anyone(not self._is_mine(state))

    def _is_mine(self, state: Mapping[str, Tensor]) -> bool:
        counts = state.get("counts")
        return (
            counts is not None
            and counts.shape == (3,)
            and counts.dtype == torch.int64
            and int(counts.min()) >= 0
            and int(counts[2]) == self._identity
            and self._kept.can_have(state)
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`; a run directory forgets what came after.

        Raises:
            ValueError: the state is damaged, or of a recorder with other settings or parameters, or of the process that
                holds other shards; nothing is changed then.
        """
        if self._guard is not None:
            self._follow_masters(self._guard)  # an optimizer may have got its own with its state
        edge = state.get("edge")
        if edge is not None and not self.window.can_be_remembered(edge):
            raise ValueError(f"Recorder.load_state_dict: edge has shape {tuple(edge.shape)}; the state is damaged")
        if not self._is_mine(state):
            raise ValueError(
                "Recorder.load_state_dict: the state is of a recorder with other parameters, window, every or storage, "
                "or of the process that holds other shards; give watch the same settings, and each process its own"
            )
        self._kept.load_state_dict(state)
        if self._log is not None:
            self._log.restore(edge, self.window, below("noted.", state))
        steps, self._recorded, _ = state["counts"].tolist()
        last = self.window.steps[-1] if self.window.pushed else -1
        self._steps.restore(steps, state["stepped"].tolist() if "stepped" in state else [], last)
        self._last_seen = []
        self.stopped, self._agreement.told = None, False
        if self._archive is not None:
            self._archive.rewind(last)

    def on_close(self, action: Callable[[], None]) -> None:
        """Do this when the recorder is closed, last given first."""
        self._closing.callback(action)

    def close(self, why: str | None = None) -> None:
        """Remove the hooks and close the files; reading the edge stays possible. Nothing raises from here.

        Args:
            why: what ended training early, for the status of the run directory.
        """
        if self._closed:
            return
        self._closed = True
        if self.automatic and self.pending:  # some optimizers have stepped, and no further step will end it
            self.commit()
        self._closing.close()
        if self._archive is not None and os.getpid() == self._process:
            try:
                self._archive.close(self.steps, self.stopped or why, self._kept.exact)
            except Exception as problem:  # a full disk at the very end must not hide how training ended
                logger.warning("spectral-edge: closing the run directory failed: %s", problem)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(None if kind is None else f"{kind.__name__}: {value}")

    def __repr__(self) -> str:
        stopped = "" if self.stopped is None else f", stopped: {self.stopped}"
        return (
            f"Recorder({self.parameters}, window={self.window.size}, every={self.every}, steps={self.steps}{stopped})"
        )
