"""What a recorder keeps in its run directory, and how to read it again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from spectral_edge.recording.live import LiveValues
from spectral_edge.spectrum import InnerProducts, SpectralEdge, UpdateWindow, edge_from_gram
from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError, StoreError, describe_environment

__all__ = ["Archive", "Recording", "RecordingConfig"]


class RecordingConfig(BaseModel):
    """What a recording is of; a run directory is continued only by a recorder with the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "recording"
    model: str
    """Class of the watched module."""
    parameters: dict[str, tuple[int, ...]]
    """Shape of each recorded parameter, whole, in layout order."""
    window: int
    every: int
    storage: str
    sketch_size: int | None
    keep_updates: bool
    process: int
    """Rank of the process whose shards are in this directory."""


class Archive:
    """Writes a recording: a line of live values and the Gram matrix after every W updates, and the updates if asked.

    Args:
        path: the run directory; made if missing, continued if a recorder with the same configuration made it.
        config: what is recorded.
        logs: whether this process writes the values; the others keep only their shards.

    Raises:
        StoreError: the directory belongs to another configuration or process, or cannot be written.
    """

    def __init__(self, path: Path, config: RecordingConfig, logs: bool) -> None:
        self.path = path
        self._keep = config.keep_updates
        self._logs = logs
        self._run = RunDirectory.create(path, config, describe_environment())
        self._held = contextlib.ExitStack()
        self._held.enter_context(self._run.lock())
        self._earlier = self._run.metrics()[-1:] + [{"step": step} for step in self._run.update_steps()[-1:]]

    def append(self, values: LiveValues, window: UpdateWindow, exact: UpdateWindow | None) -> None:
        """Add the window that has just filled with new updates.

        Args:
            values: of that window.
            window: the updates, or their sketches.
            exact: the updates, or ``None`` where they are not kept.

        Raises:
            StoreError: an earlier recording is in the way, or the disk refuses.
        """
        if self._earlier:
            raise StoreError(
                f"{self.path}: holds a recording up to step {self._earlier[0]['step']} already. Restore the recorder's "
                "state (load_state_dict) to continue it, or choose another run_dir."
            )
        if self._keep and exact is not None:
            steps = torch.tensor(window.steps)
            self._run.write_updates(values.step, {"updates": _joined(exact.parts), "steps": steps})
        if self._logs:
            gram = window.gram_matrix.tolist()
            self._run.append_metrics({**asdict(values), "centered": False, "gram_matrix": gram})
            self._run.write_status({"state": "running", "step": values.step})

    def rewind(self, step: int) -> None:
        """Forget what was recorded after ``step``."""
        self._run.rewind(step)
        self._earlier = []

    def edge(self, step: int, window: int, *, center: bool, products: InnerProducts) -> SpectralEdge:
        """As :meth:`Recording.edge`."""
        return _stored_edge(self._run, step, window, center, products)

    def close(self, step: int, stopped: str | None) -> None:
        """Write how it ended, and let other processes write here."""
        if self._logs and not self._earlier:
            state = {"state": "finished", "step": step}
            self._run.write_status(state if stopped is None else {**state, "state": "failed", "why": stopped})
        self._held.close()


class Recording:
    """A recording on disk, of a process that has ended or still runs; nothing in it is trusted.

    Args:
        path: the run directory that :func:`watch` was given.

    Raises:
        StoreError: there is no recording, or it is damaged.

    >>> Recording(Path("/nowhere"))
    Traceback (most recent call last):
    spectral_edge.store.errors.RunMissingError: /nowhere: there is no run here. Check the path, or make the run first.
    """

    def __init__(self, path: Path | str) -> None:
        self._run = RunDirectory.open(Path(path))
        if self._run.config.get("kind") != "recording":
            raise RunMissingError(
                f"{path}: a run, but no recording of se.watch; open it with the command that made it."
            )
        try:
            self.config = RecordingConfig.model_validate(self._run.config)
        except ValueError as problem:
            raise RunCorruptError(f"{path}/config.json: {problem}") from None

    @property
    def values(self) -> list[dict[str, Any]]:
        """One record a window: the fields of :class:`LiveValues` and ``gram_matrix``, oldest first."""
        return self._run.metrics()

    @property
    def steps(self) -> list[int]:
        """Training steps whose edge can be had: the last of each window, or all recorded ones if updates are kept."""
        return _steps(self._run, self.config.window)

    def edge(self, step: int, *, center: bool = True) -> SpectralEdge:
        """The edge of the W updates that end at ``step``; its directions, too, where updates are kept.

        Args:
            step: one of ``steps``.
            center: subtract the mean of the window.

        Raises:
            StoreError: nothing is kept of that step, or it is damaged.
        """
        return _stored_edge(self._run, step, self.config.window, center, InnerProducts())


def _steps(run: RunDirectory, window: int) -> list[int]:
    ends = [int(line["step"]) for line in run.metrics()]
    kept = [s for chunk in run.update_steps() for s in run.read_updates(chunk)["steps"].tolist()]
    return sorted({*ends, *kept[window - 1 :]})


def _stored_edge(run: RunDirectory, step: int, window: int, center: bool, products: InnerProducts) -> SpectralEdge:
    line = next((line for line in run.metrics() if line["step"] == step), None)
    if line is not None:
        gram = torch.tensor(line["gram_matrix"], dtype=torch.float64)
        if gram.shape != (window, window):
            raise RunCorruptError(
                f"{run.path}: the Gram matrix of step {step} is {tuple(gram.shape)}, not {window} wide"
            )
        return edge_from_gram(gram, lambda: _stored_updates(run, step, window), center, products.sharded)
    parts = _stored_updates(run, step, window)
    rows = torch.cat(list(parts))
    return edge_from_gram(products(rows), lambda: (rows,), center, products.sharded)


def _stored_updates(run: RunDirectory, step: int, window: int) -> Sequence[Tensor]:
    """The W updates that end at ``step``, in parts; raises if they are not kept."""
    ends = run.update_steps()
    if not ends:
        raise RunMissingError(
            f"{run.path}: the updates of step {step} are not kept, only the spectra of whole windows; "
            "record with keep_updates=True for directions and other steps."
        )
    last = next((i for i, end in enumerate(ends) if end >= step), len(ends) - 1)
    parts: list[Tensor] = []
    missing = window
    for chunk in (run.read_updates(end) for end in reversed(ends[: last + 1])):
        before = int((chunk["steps"] <= step).sum())
        rows = chunk["updates"][max(0, before - missing) : before]
        if missing == window and (not before or int(chunk["steps"][before - 1]) != step):
            break
        parts.insert(0, rows)
        missing -= len(rows)
        if missing == 0:
            return parts
    known = _steps(run, window)
    span = f"{known[0]} to {known[-1]}" if known else "none"
    raise RunMissingError(f"{run.path}: no window of {window} kept updates ends at step {step}; known: {span}.")


def _joined(parts: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts[1]) else parts[0]  # after every W updates there is nothing to copy
