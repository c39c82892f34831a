"""A recording, on disk or made from checkpoints: the spectrum over training, and the edge of any window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from spectral_edge.parameters import (
    ParameterSubset,
    Selector,
    adapted_weights,
    attention_weights,
    plain_name,
    unwrap_model,
)
from spectral_edge.recording.checkpoint_adapters import CheckpointAdapters
from spectral_edge.recording.checkpoint_updates import CheckpointUpdates
from spectral_edge.recording.checkpoint_windows import CheckpointWindows
from spectral_edge.recording.checkpoints import find_checkpoints
from spectral_edge.recording.configuration import RecordingConfig
from spectral_edge.recording.live import LiveValues
from spectral_edge.recording.stored_windows import StoredWindows
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import (
    KeptModes,
    RunCorruptError,
    RunDirectory,
    RunMissingError,
    StoreError,
    describe_environment,
)
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["Recording"]

_WINDOW = 20


class _Windows(Protocol):
    @property
    def steps(self) -> list[int]: ...

    def edge(self, step: int, window: int | None = None, center: bool = True) -> SpectralEdge: ...


class Recording(Tabular):
    """A recording on disk, of a process that has ended or still runs; nothing in it is trusted.

    Of checkpoints that any other program has left, :meth:`from_checkpoints` makes one.

    Args:
        path: the run directory that :func:`watch` was given, or that :meth:`save` has made.

    Attributes:
        config: what is recorded: model, parameters with their shapes, window, stride.

    Raises:
        StoreError: there is no recording, or it is damaged.

    >>> Recording(Path("/nowhere"))
    Traceback (most recent call last):
    spectral_edge.store.errors.RunMissingError: /nowhere: there is no run here. Check the path, or make the run first.
    """

    def __init__(self, path: Path | str) -> None:
        run = RunDirectory.open(Path(path))
        if run.config.get("kind") != "recording":
            raise RunMissingError(
                f"{path}: a run, but no recording of se.watch; open it with the command that made it."
            )
        try:
            self.config = RecordingConfig.model_validate(run.config)
        except ValueError as problem:
            raise RunCorruptError(f"{path}/config.json: {problem}") from None
        if self.config.process:
            raise RunMissingError(f"{path}: shards of process {self.config.process}; open the directory above it.")
        self._run: RunDirectory | None = run
        self._windows: _Windows = StoredWindows(run, self.config)

    @classmethod
    def from_checkpoints(
        cls,
        paths_or_repo: str | Path | Sequence[str | Path],
        parameters: Selector | ParameterSubset = "attention",
        *,
        model: nn.Module | None = None,
        steps: Sequence[int] | None = None,
        revisions: Sequence[str] | None = None,
        window: int | None = None,
    ) -> Recording:
        """Make a recording of the checkpoints that a training has left: of N checkpoints, N - 1 updates.

        Only safetensors is read. No checkpoint is ever held in memory whole: all of them are read together, 32 MB at a
        time. If they are equally many training steps apart, spectra and directions are those of a live recording with
        that stride. If not, each update is divided by the steps that it took (``config.every`` is then ``None``, and a
        warning is logged): windows hold rates, whatever their steps.

        Args:
            paths_or_repo: folders (as ``save_pretrained`` or a Trainer writes them) or ``.safetensors`` files, one a
                checkpoint; one folder that holds them; or, with ``revisions``, a repository of the Hugging Face hub.
            parameters: as for :func:`watch`; also a subset of a model of yours. ``"lora"``: adapters that PEFT has
                saved.
            model: of this class the checkpoints are; it may be on the meta device. If left out it is built without
                memory from ``config.json``, if there is one and Transformers is installed. Otherwise parameters are
                chosen by their names in the files, and ordered by these: use :meth:`parameters_of`.
            steps: training step of each checkpoint; by default the last number in its name (``checkpoint-500``).
            revisions: of the repository, one a checkpoint (``["step1000", "step2000", …]``).
            window: W; 20, or all updates if there are fewer.

        Raises:
            ValueError: fewer than three checkpoints; steps that are unknown or not different; nothing is selected, or a
                checkpoint has a parameter in another shape, or not at all; neighbours hold the same weights.
            StoreError: a place holds a pickle, nothing, or a damaged file; a repository cannot be downloaded.

        Cost: (N - 1)² D multiply-adds in float64 and N D numbers read, when the first spectrum is asked for; a pass
        over the window's checkpoints for directions.
        """
        checkpoints = find_checkpoints(paths_or_repo, steps, revisions)
        updates = (
            CheckpointAdapters.of(checkpoints)
            if parameters == "lora"
            else CheckpointUpdates.of(checkpoints, parameters, model)
        )
        n = len(checkpoints) - 1
        size = min(_WINDOW, n) if window is None else window
        if not 2 <= size <= n:
            raise ValueError(f"window = {size}: {n + 1} checkpoints make {n} updates; choose 2 to {n}")
        first, second = updates.checkpoints[:2]
        found = cls.__new__(cls)
        found.config = RecordingConfig(
            model=updates.model,
            parameters=updates.shapes,
            window=size,
            every=None if updates.rates else second.step - first.step,
            storage="checkpoints",
            sketch_size=None,
            keep_updates=False,
            dim=updates.dim,
            process=0,
            processes=1,
        )
        found._run = None
        found._windows = CheckpointWindows(updates, size)
        return found

    @property
    def values(self) -> list[dict[str, Any]]:
        """One record a window of new updates: the fields of :class:`LiveValues` and ``gram_matrix``, oldest first."""
        if isinstance(self._windows, CheckpointWindows):
            return [values.line(gram) for values, gram in self._windows.values()]
        assert self._run is not None
        return self._run.metrics()

    def to_polars(self) -> polars.DataFrame:
        """One row a window of new updates: the numbers that go to a tracker (:meth:`LiveValues.scalars`).

        Raises:
            StoreError: the log is damaged.
        """
        import polars

        known = {f.name for f in fields(LiveValues)}
        lines = [{name: value for name, value in line.items() if name in known} for line in self.values]
        try:
            rows = [LiveValues(**line).scalars() for line in lines]
        except (AttributeError, TypeError) as problem:  # a line is what somebody wrote there
            raise RunCorruptError(f"{self._place}: a line of the log is no record of a window ({problem}).") from None
        return polars.DataFrame(rows, infer_schema_length=None)

    @property
    def steps(self) -> list[int]:
        """Training steps whose edge can be had: the last of each window, or all recorded ones if updates are kept."""
        return self._windows.steps

    def edge(self, step: int | None = None, *, window: int | None = None, center: bool = True) -> SpectralEdge:
        """The edge of the W updates that end at ``step``; its directions, too, where updates are kept.

        Of a model that was sharded, only the spectra of whole windows: its directions are in no one process.

        Args:
            step: one of ``steps``; the last if left out.
            window: another number of updates; no larger than the recording's where updates are not kept.
            center: subtract the mean of the window.

        Raises:
            ValueError: the window is too small, or larger than what is kept.
            StoreError: nothing is kept of that step, or it is damaged.
        """
        if step is None:
            steps = self.steps
            if not steps:
                raise RunMissingError(f"{self._place}: no window is full yet.")
            step = steps[-1]
        if window is not None and window < 2:
            raise ValueError(f"window = {window}, but a spectrum needs at least 2 updates")
        return self._windows.edge(step, window, center)

    @property
    def mode_steps(self) -> list[int]:
        """Steps at which :meth:`Recorder.keep_modes` has kept some."""
        return [] if self._run is None else self._run.mode_steps()

    def modes(self, step: int | None = None) -> KeptModes:
        """What the directions of a window did to the inputs that :meth:`Recorder.keep_modes` was given.

        Args:
            step: one of ``mode_steps``; the last if left out.

        Raises:
            StoreError: nothing is kept of that step, or it is damaged.
        """
        steps = self.mode_steps
        if self._run is None or not steps:
            raise RunMissingError(f"{self._place}: no modes were kept; call recorder.keep_modes(inputs, forward).")
        return self._run.read_modes(steps[-1] if step is None else step)

    def parameters_of(self, model: nn.Module) -> ParameterSubset:
        """What is recorded, in a model of the same class, in the order of the edges' columns.

        Raises:
            ValueError: the model lacks a parameter or has it in another shape.
        """
        names = [plain_name(name) for name in self.config.parameters]
        if names != list(self.config.parameters):  # below adapters
            found = adapted_weights(model, names)
        else:
            own = dict(unwrap_model(model).named_parameters(remove_duplicate=False))
            found = ParameterSubset({name: own[name] for name in names if name in own} or own)
        there = {plain_name(name): tuple(parameter.shape) for name, parameter in found.parameters.items()}
        for name, shape in zip(names, self.config.parameters.values(), strict=True):
            if there.get(name) != shape:
                what = f"in shape {there[name]}" if name in there else "not at all"
                raise ValueError(
                    f"{self._place}: recorded is {name!r} of shape {shape}, and {type(model).__name__} has it {what}; "
                    "pass the model that was recorded"
                )
        try:
            attention = attention_weights(model)
        except ValueError:
            return found
        return attention if attention.names == tuple(self.config.parameters) else found

    def save(self, path: Path | str) -> Path:
        """Write the spectra of all windows as a run directory, for ``Recording(path)``, ``report`` and ``serve``.

        Directions still need the checkpoints.

        Raises:
            ValueError: this recording is a directory already.
            StoreError: it cannot be written, or another recording is there.
        """
        if self._run is not None:
            raise ValueError(f"{self._run.path}: this recording is on disk already; copy the directory")
        run = RunDirectory.create(Path(path), self.config, describe_environment())
        with run.lock():
            if run.metrics():
                raise StoreError(f"{path}: holds a recording already. Choose another path.")
            lines = self.values
            for line in lines:
                run.append_metrics(line)
            run.write_status({"state": "finished", "step": lines[-1]["step"]})
        return run.path

    @property
    def _place(self) -> str:
        return "checkpoints" if self._run is None else str(self._run.path)

    def __repr__(self) -> str:
        every = "at uneven steps, as rates" if self.config.every is None else f"every {self.config.every} steps"
        tensors = len(self.config.parameters)
        return (
            f"Recording({self.config.model}, {tensors} tensors, dim={self.config.dim}, W={self.config.window}, {every})"
        )
