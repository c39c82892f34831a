"""What a recorder keeps in its run directory, and how to read it again."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from spectral_edge.recording.live import LiveValues
from spectral_edge.spectrum import InnerProducts, SpectralEdge, UpdateWindow, edge_from_gram, noise_floor
from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError, StoreError, describe_environment

__all__ = ["Archive", "Recording", "RecordingConfig"]


class RecordingConfig(BaseModel):
    """What a recording is of; a run directory is continued only by a recorder with the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field("recording", pattern="^recording$")
    model: str
    """Class of the watched module."""
    parameters: dict[str, tuple[int, ...]]
    """Shape of each recorded parameter, whole, in layout order."""
    window: int = Field(ge=2)
    every: int = Field(ge=1)
    storage: str
    sketch_size: int | None
    keep_updates: bool
    dim: int = Field(ge=0)
    """Entries of a vector in this process."""
    process: int = Field(ge=0)
    """Rank of the process whose shards are in this directory."""
    processes: int = Field(ge=1)
    """Over how many the parameters are sharded."""

    def identity(self, offsets: tuple[tuple[int, ...], ...]) -> int:
        """A number that two recorders share if one can continue from the other's state.

        Args:
            offsets: where the blocks of this process begin in the whole parameters.
        """
        same = self.model_dump(exclude={"model", "keep_updates", "process"}) | {"offsets": offsets}
        return int.from_bytes(hashlib.blake2b(repr(same).encode(), digest_size=7).digest(), "little")


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
        self._config = config
        self._logs = logs
        self._run = RunDirectory.create(path, config, describe_environment())
        self._held = contextlib.ExitStack()
        self._held.enter_context(self._run.lock())
        self._earlier = max([line["step"] for line in self._run.metrics()] + self._run.update_steps(), default=None)
        self._written = -1  # step of the last update in the files

    def keep(self, exact: UpdateWindow | None) -> None:
        """Write the updates that have not been written, if updates are kept.

        Raises:
            StoreError: an earlier recording is in the way, or the disk refuses.
        """
        self._refuse_to_overwrite()
        if not self._config.keep_updates or exact is None:
            return
        steps = exact.steps
        new = [step for step in steps if step > self._written]
        if new:
            first, second = exact.parts
            # After every W updates all are new and in their places: then nothing is copied.
            rows = first if len(new) == len(first) == len(steps) else torch.cat([first, second])[-len(new) :]
            self._run.write_updates(new[-1], {"updates": rows.cpu()}, {"steps": list(new)})
            self._written = new[-1]

    def log(self, values: LiveValues, window: UpdateWindow) -> None:
        """Add a line for a window that holds new updates only.

        Raises:
            StoreError: an earlier recording is in the way, or the disk refuses.
        """
        self._refuse_to_overwrite()
        if self._logs:
            gram = window.gram_matrix.tolist()
            self._run.append_metrics({**asdict(values), "centered": False, "gram_matrix": gram})
            self._run.write_status({"state": "running", "step": values.step})

    def _refuse_to_overwrite(self) -> None:
        if self._earlier is not None:
            raise StoreError(
                f"{self.path}: holds a recording up to step {self._earlier} already. Restore the recorder's state "
                "(load_state_dict) to continue it, or choose another run_dir."
            )

    def rewind(self, step: int) -> None:
        """Forget what was recorded after ``step``."""
        self._run.rewind(step)
        self._earlier = None
        self._written = max(self._run.update_steps(), default=-1)

    def edge(self, step: int, *, center: bool, products: InnerProducts) -> SpectralEdge:
        """As :meth:`Recording.edge`, from the shards of all processes, all of which must call."""
        return _StoredWindows(self._run, self._config).edge(step, center, products)

    def close(self, step: int, why: str | None, exact: UpdateWindow | None) -> None:
        """Write what is left and how it ended, and let other processes write here."""
        try:
            if self._earlier is None:
                if exact is not None and exact.pushed:
                    self.keep(exact)
                if self._logs:
                    state = {"state": "finished", "step": step}
                    self._run.write_status(state if why is None else {**state, "state": "failed", "why": why})
        finally:
            self.release()

    def release(self) -> None:
        """Let other processes write here."""
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
        self._run = run
        self._windows = _StoredWindows(run, self.config)

    @property
    def values(self) -> list[dict[str, Any]]:
        """One record a window: the fields of :class:`LiveValues` and ``gram_matrix``, oldest first."""
        return self._run.metrics()

    @property
    def steps(self) -> list[int]:
        """Training steps whose edge can be had: the last of each window, or all recorded ones if updates are kept."""
        return self._windows.steps

    def edge(self, step: int, *, center: bool = True) -> SpectralEdge:
        """The edge of the W updates that end at ``step``; its directions, too, where updates are kept.

        Of a model that was sharded, only the spectra of whole windows: its directions are in no one process.

        Args:
            step: one of ``steps``.
            center: subtract the mean of the window.

        Raises:
            StoreError: nothing is kept of that step, or it is damaged.
        """
        return self._windows.edge(step, center, None)


class _StoredWindows:
    """Edges from what a run directory holds."""

    def __init__(self, run: RunDirectory, config: RecordingConfig) -> None:
        self._run = run
        self._config = config

    @property
    def steps(self) -> list[int]:
        logged = {int(line["step"]) for line in self._run.metrics()}
        kept = [] if self._config.processes > 1 else [step for chunk in self._chunks().values() for step in chunk]
        return sorted({*logged, *kept[self._config.window - 1 :]})

    def edge(self, step: int, center: bool, products: InnerProducts | None) -> SpectralEdge:
        """Of the updates if they are kept, else of the Gram matrix in the log.

        Args:
            step: where the window ends.
            center: subtract its mean.
            products: over all processes; ``None`` to read what one process can.
        """
        sharded = self._config.processes > 1
        if self._config.keep_updates and (products is not None or not sharded):
            rows = self._rows(step)
            found = (products or InnerProducts())(rows)
            return edge_from_gram(found, lambda: (rows,), center, sharded)
        edge = edge_from_gram(self._gram(step), self._no_rows, center, sharded)
        size = self._config.sketch_size
        return edge if size is None else edge.as_sketch(noise_floor(edge, size), self._no_rows)

    def _gram(self, step: int) -> Tensor:
        line = next((line for line in self._run.metrics() if line["step"] == step), None)
        if line is None:
            raise self._missing(step)
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

    def _rows(self, step: int) -> Tensor:
        """(W, D), the updates that end at ``step``."""
        chunks = self._chunks()
        known = [(end, place, s) for end, steps in chunks.items() for place, s in enumerate(steps)]
        last = next((i for i, (*_, s) in enumerate(known) if s == step), -1)
        first = last - self._config.window + 1
        if last < 0 or first < 0:
            raise self._missing(step)
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

    def _missing(self, step: int) -> RunMissingError:
        steps = self.steps
        span = f"{steps[0]} to {steps[-1]}" if steps else "none"
        hint = "" if self._config.keep_updates else "; record with keep_updates=True for every recorded step"
        return RunMissingError(
            f"{self._run.path}: no window of {self._config.window} updates ends at step {step}; known: {span}{hint}."
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
