"""What a recorder keeps in its run directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectral_edge.recording.configuration import RecordingConfig
from spectral_edge.recording.live import LiveValues
from spectral_edge.recording.stored_windows import StoredWindows
from spectral_edge.spectrum import InnerProducts, SpectralEdge, UpdateWindow
from spectral_edge.store import RunDirectory, RunLockedError, StoreError, describe_environment, read_lock

__all__ = ["Archive"]


class Archive:
    """Writes a recording: a line of live values and the Gram matrix after every W updates, and the updates if asked.

    Args:
        path: the run directory; made if missing, continued if a recorder with the same configuration made it.
        config: what is recorded.
        logs: whether this process writes the values; the others keep only their shards.

    Attributes:
        earlier: last step of a recording that is there already; ``None`` if there is none, or it is being continued.

    Raises:
        StoreError: the directory belongs to another configuration, process or recorder, or cannot be written.
    """

    def __init__(self, path: Path, config: RecordingConfig, logs: bool) -> None:
        self.path = path
        self._config = config
        self._logs = logs
        self._run = RunDirectory.create(path, config, describe_environment())
        self._held = contextlib.ExitStack()
        self._refuse_own()
        self._held.enter_context(self._run.lock())
        self.earlier = max([line["step"] for line in self._run.metrics()] + self._run.update_steps(), default=None)
        self._written = -1  # step of the last update in the files

    def _refuse_own(self) -> None:
        """Another recorder of this process would be waited for in vain."""
        state = read_lock(self.path / "lock")
        if state.held and state.holder is not None and state.holder.pid == os.getpid():
            raise RunLockedError(
                f"{self.path}: another recorder of this program writes there. Close it first (recorder.close(), or end "
                "its with block), or give this one another run_dir; several recorders may watch one model."
            )

    def keep(self, exact: UpdateWindow | None) -> None:
        """Write the updates that have not been written, if updates are kept.

        Raises:
            StoreError: the disk refuses.
        """
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
            StoreError: the disk refuses.
        """
        if self._logs:
            self._run.append_metrics(values.line(window.gram_matrix))
            self._run.write_status({"state": "running", "step": values.step})

    def keep_modes(self, step: int, modes: Mapping[str, Tensor], labels: list[Any]) -> None:
        """Write what the window's directions do to some inputs.

        Raises:
            StoreError: the disk refuses.
        """
        self._run.write_modes(step, modes, labels)

    def refuse_to_overwrite(self) -> None:
        """Refuse to write into an earlier recording that is not being continued.

        Raises:
            StoreError: there is one.
        """
        if self.earlier is not None:
            raise StoreError(
                f"{self.path}: holds a recording up to step {self.earlier} already. Restore the recorder's state "
                "(load_state_dict) to continue it, or choose another run_dir"
            )

    def rewind(self, step: int) -> None:
        """Forget what was recorded after ``step``."""
        self._run.rewind(step)
        self.earlier = None
        self._written = max(self._run.update_steps(), default=-1)

    def edge(self, step: int, *, center: bool, products: InnerProducts) -> SpectralEdge:
        """As :meth:`Recording.edge`, from the shards of all processes, all of which must call."""
        return StoredWindows(self._run, self._config).edge(step, None, center, products)

    def close(self, step: int, why: str | None, exact: UpdateWindow | None) -> None:
        """Write what is left and how it ended, and let other processes write here."""
        try:
            if self.earlier is None:
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
