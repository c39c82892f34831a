"""One training run on disk: configuration, environment, status, metrics, trajectory, checkpoints."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue
from torch import Tensor

from spectral_edge.store.configuration import check_same_config, plain_config
from spectral_edge.store.errors import RunCorruptError, RunMissingError
from spectral_edge.store.files import append_line, make_folder, remove_leftovers, write_atomically
from spectral_edge.store.kept_modes import KeptModes
from spectral_edge.store.locks import hold_lock
from spectral_edge.store.records import (
    SCHEMA,
    ConfigFile,
    MetricsLine,
    StatusFile,
    check_record,
    parse_record,
    read_document,
    read_object,
    read_records,
)
from spectral_edge.store.step_files import StepFiles
from spectral_edge.store.strict_json import encode_json

__all__ = ["RunDirectory"]


@dataclass(frozen=True)
class RunDirectory:
    """A run directory that was created or opened with `create` or `open`, which validate it.

    Every write leaves the directory readable if the process is killed or the disk fills at any instant.
    Readers need no lock; a writer holds `lock` for as long as it writes.

    Attributes:
        path: the directory.
        config: the configuration that made the run, as plain JSON.
    """

    path: Path
    config: dict[str, JsonValue]

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @classmethod
    def create(cls, path: Path, config: BaseModel, environment: Mapping[str, Any]) -> RunDirectory:
        """Make a run directory, or reopen the one that the same ``config`` made.

        ``config.json`` is written last: a directory without it counts as half written, and is completed here.

        Args:
            path: the directory; parents are made.
            config: what the run computes.
            environment: where it is first computed; kept as it is when the run is reopened.

        Returns:
            The directory, holding no lock.

        Raises:
            ConfigMismatchError: the directory holds a run with another configuration; names what differs.
            RunLockedError: another process is making it at this moment.
            StoreError: ``path`` or a parent is a file, or cannot be written.
        """
        path = Path(path)
        make_folder(path)
        run = cls(path, plain_config(config, path / "config.json"))
        for files in run._all_files:
            make_folder(files.folder)
        if not run._config_file.exists():
            with run.lock():
                run._commit_config(environment)
        existing = cls.open(path)
        check_same_config(path, existing.config, run.config)
        return existing

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open a run that exists, trusting nothing in it.

        Args:
            path: the directory.

        Returns:
            The directory.

        Raises:
            RunMissingError: nothing is there, or a file is.
            RunCorruptError: the directory is half written, or its ``config.json`` is damaged.
            SchemaError: it was written under another schema version.
        """
        path = Path(path)
        if not path.exists():
            raise RunMissingError(f"{path}: there is no run here. Check the path, or make the run first.")
        if not path.is_dir():
            raise RunMissingError(f"{path}: a file, not a run. Give the directory that holds config.json.")
        if not (path / "config.json").exists():
            raise RunCorruptError(
                f"{path}: not a run, or one half written: config.json, which is written last, is "
                "missing. Start the run again with this output path, or delete the directory."
            )
        return cls(path, read_document(path / "config.json", ConfigFile).config)

    @contextlib.contextmanager
    def lock(self, wait: float = 2.0) -> Iterator[None]:
        """Hold the run for writing while the block runs; the kernel frees it if the process is killed.

        Also removes what a killed writer left half written. Not re-entrant.

        Args:
            wait: seconds to try before giving up.

        Raises:
            RunLockedError: another process writes to the run; names its pid, host, start and command.
        """
        with hold_lock(self.path / "lock", wait):
            for folder in (self.path, *(files.folder for files in self._all_files)):
                remove_leftovers(folder)
            yield

    @property
    def environment(self) -> dict[str, Any]:
        """Where the run was first computed; raises `RunCorruptError` if the file is missing or damaged."""
        return read_object(self.path / "environment.json")

    @property
    def status(self) -> dict[str, Any]:
        """Last status written, {} before the first; raises `RunCorruptError` if the file is damaged."""
        path = self.path / "status.json"
        if not path.exists():
            return {}
        return parse_record(StatusFile, read_object(path), str(path)).model_dump()

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status: ``state`` ("running", "finished" or "failed"), ``step``, and free further keys.

        Raises:
            StoreError: a key is missing or of the wrong kind, or the disk refuses.
        """
        path = self.path / "status.json"
        write_atomically(path, encode_json(check_record(StatusFile, status, path), path) + b"\n")

    def append_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Append one line of metrics: ``step`` and any further finite values.

        Raises:
            StoreError: ``step`` is missing, a value does not fit JSON (NaN, a tensor), or the disk refuses.
        """
        append_line(self._metrics_file, check_record(MetricsLine, metrics, self._metrics_file))

    def metrics(self) -> list[dict[str, Any]]:
        """Read all committed metrics, oldest first; a torn last line is not committed.

        Raises:
            RunCorruptError: a line before the last is damaged; names file and line.
        """
        return [line.model_dump() for line in read_records(self._metrics_file, MetricsLine)]

    def write_snapshot(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Add one point of the trajectory; the line in ``index.jsonl`` commits it.

        Args:
            step: optimizer step, >= 0; not yet in the trajectory.
            tensors: dense tensors by name.

        Raises:
            StoreError: the step is already there, a tensor does not fit, or the disk refuses.
        """
        self._snapshots.add(step, tensors)

    def snapshot_steps(self) -> list[int]:
        """List the committed steps of the trajectory, ascending.

        Raises:
            RunCorruptError: the index is damaged, or names a file outside the run; names file and line.
        """
        return list(self._snapshots.records())

    def read_snapshot(self, step: int) -> dict[str, Tensor]:
        """Read one point of the trajectory, checked against its committed size and SHA-256.

        Raises:
            RunMissingError: ``step`` is not in the trajectory.
            RunCorruptError: the file is missing, truncated, altered, or not safetensors; names it.
        """
        return self._snapshots.read(self._snapshots.record(step))

    def write_updates(
        self, step: int, tensors: Mapping[str, Tensor], extra: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Keep windows of updates that end at ``step``; the line in ``updates.jsonl`` commits them.

        Args:
            step: optimizer step, >= 0.
            tensors: the windows, dense, by name.
            extra: what a reader should know without reading them.

        Raises:
            StoreError: the step has some already, a tensor does not fit, or the disk refuses.
        """
        self._updates.add(step, tensors, extra)

    def update_extras(self) -> dict[int, dict[str, JsonValue]]:
        """What was said of the windows of updates at each step, ascending; errors as `snapshot_steps`."""
        return {step: record.extra for step, record in self._updates.records().items()}

    def update_steps(self) -> list[int]:
        """List the steps at which windows of updates are kept, ascending; errors as `snapshot_steps`."""
        return list(self._updates.records())

    def read_updates(self, step: int) -> dict[str, Tensor]:
        """Read the windows of updates kept at ``step``; errors as `read_snapshot`."""
        return self._updates.read(self._updates.record(step))

    def write_decay(self, step: int, decay: Tensor) -> None:
        """Keep the part of the update that ends at ``step`` which is weight decay, (D,).

        Raises:
            StoreError: the step has one already, or the disk refuses.
        """
        self._decay.add(step, {"decay": decay})

    def decay_steps(self) -> list[int]:
        """List the steps at which :meth:`write_decay` was called, ascending; errors as `snapshot_steps`."""
        return list(self._decay.records())

    def read_decay(self, step: int) -> Tensor:
        """Read what :meth:`write_decay` kept of ``step``; errors as `read_snapshot`."""
        found = self._decay.read(self._decay.record(step)).get("decay")
        if found is None:
            raise RunCorruptError(f"{self.path}: the file of the decay of step {step} holds something else.")
        return found

    def write_modes(self, step: int, tensors: Mapping[str, Tensor], labels: JsonValue) -> None:
        """Keep what the directions of the window that ends at ``step`` do to some inputs.

        Args:
            step: training step, >= 0.
            tensors: dense, by name.
            labels: of the inputs.

        Raises:
            StoreError: the step has some already, or the disk refuses.
        """
        self._modes.add(step, tensors, {"labels": labels})

    def mode_steps(self) -> list[int]:
        """List the steps at which :meth:`write_modes` was called, ascending; errors as `snapshot_steps`."""
        return list(self._modes.records())

    def read_modes(self, step: int) -> KeptModes:
        """Read what :meth:`write_modes` kept of ``step``; errors as `read_snapshot`."""
        record = self._modes.record(step)
        try:
            return KeptModes.of(step, self._modes.read(record), record.extra.get("labels"))
        except ValueError as problem:
            raise RunCorruptError(f"{self.path}: the modes of step {step}: {problem}.") from None

    def write_checkpoint(
        self, step: int, tensors: Mapping[str, Tensor], extra: Mapping[str, Any], keep: int = 2
    ) -> None:
        """Save what resuming needs, and drop all but the newest ``keep`` checkpoints once it is committed.

        Args:
            step: optimizer step, >= 0; a checkpoint of the same step is replaced.
            tensors: model and optimizer state, dense tensors by name.
            extra: the rest of the state as JSON: generator states, counters.
            keep: checkpoints to keep, >= 1; with 2 or more a damaged newest one costs little.

        Raises:
            StoreError: something does not fit, or the disk refuses; then the older ones stay.
        """
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        encode_json(dict(extra), self._checkpoints.index)  # refuse what JSON cannot hold before writing
        records = self._checkpoints.records()
        records[step] = self._checkpoints.write(step, tensors, dict(extra))
        self._checkpoints.replace(records[s] for s in sorted(records)[-keep:])

    def latest_checkpoint(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """Read the newest intact checkpoint: its step, tensors and extra state; None if there is none.

        A damaged one is passed over with a warning that names its file. `rewind` to the step that comes back
        before writing on.

        Raises:
            RunCorruptError: there are checkpoints and all are damaged, or their index is.
        """
        problems = []
        for step, record in reversed(self._checkpoints.records().items()):
            try:
                return step, self._checkpoints.read(record), record.extra
            except RunCorruptError as problem:
                problems.append(str(problem))
                warnings.warn(f"checkpoint of step {step} passed over: {problem}", stacklevel=2)
        if problems:
            raise RunCorruptError(f"{self.path}: every checkpoint is damaged: " + " | ".join(problems))
        return None

    def rewind(self, step: int) -> None:
        """Forget everything after ``step``, so that a run resumed from its checkpoint appends there.

        Metrics, snapshots and checkpoints of later steps go, and files that no index names. Each part is
        dropped as one step; after a kill in between, calling it again completes it.

        Args:
            step: last step to keep; -1 keeps none.

        Raises:
            RunCorruptError: an index or the metrics are damaged before their last line.
        """
        for files in self._all_files:
            files.replace(record for record in files.records().values() if record.step <= step)
        kept = [line for line in self.metrics() if line["step"] <= step]
        lines = b"".join(encode_json(line, self._metrics_file) + b"\n" for line in kept)
        write_atomically(self._metrics_file, lines)

    @property
    def _config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def _metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def _all_files(self) -> tuple[StepFiles, ...]:
        """Checkpoints first: a run that is rewound must not be resumed from what is gone."""
        return self._checkpoints, self._snapshots, self._updates, self._decay, self._modes

    @property
    def _snapshots(self) -> StepFiles:
        return StepFiles(self.path / "trajectory", self.path / "index.jsonl", "snapshot")

    @property
    def _updates(self) -> StepFiles:
        return StepFiles(self.path / "updates", self.path / "updates.jsonl", "updates")

    @property
    def _decay(self) -> StepFiles:
        return StepFiles(self.path / "decay", self.path / "decay.jsonl", "decay")

    @property
    def _modes(self) -> StepFiles:
        return StepFiles(self.path / "modes", self.path / "modes.jsonl", "modes")

    @property
    def _checkpoints(self) -> StepFiles:
        return StepFiles(self.path / "checkpoints", self.path / "checkpoints.jsonl", "checkpoint")

    def _commit_config(self, environment: Mapping[str, Any]) -> None:
        if self._config_file.exists():  # another process committed while this one waited for the lock
            return
        environment_file = self.path / "environment.json"
        write_atomically(environment_file, encode_json(dict(environment), environment_file, indent=1) + b"\n")
        document = {"schema": SCHEMA, "config": self.config}
        write_atomically(self._config_file, encode_json(document, self._config_file, indent=1) + b"\n")
