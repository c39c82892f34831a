"""Which runs lie under a directory, and the line that a list of them shows of each."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spectral_edge.report import thinned
from spectral_edge.store import GrowingLines, RunCorruptError, RunDirectory, StoreError, read_lock
from spectral_edge.subjects import open_run

__all__ = ["Library", "RunLine", "UnknownRunError", "number"]

# RUNS_DIR itself, RUNS_DIR/run, RUNS_DIR/runs/run, RUNS_DIR/result/runs/run.
_DEPTH = 3
_MOST_RUNS = 10_000
# Up to 10 MB each: Gram matrices of some hundred windows.
_METRICS_KEPT = 32
_CURVE_POINTS = 60


class UnknownRunError(LookupError):
    """No run of that name lies under the directory served, or no longer."""


@dataclass(frozen=True)
class RunLine:
    """One run in the list.

    Attributes:
        name: path below the directory served, ``.`` for itself: what URLs say.
        kind: ``training`` (made by this package's commands), ``recording`` (of :func:`spectral_edge.watch`), or
            ``unreadable``.
        state: running, somebody holds its lock; stopped, begun, and nobody does; finished; failed; unreadable.
        operation, p, seed, weight_decay, max_steps: of its configuration; ``None`` for a recording.
        step, train_accuracy, test_accuracy: of the last evaluation.
        sigma_ratio: sigma_1 / sigma_2 of the last window of updates, not centred, as the run's own status has it.
        model: class of the recorded model.
        host: who writes it, or was killed while writing.
        why: what is wrong with it.
    """

    name: str
    kind: str
    state: str
    operation: str | None = None
    p: int | None = None
    seed: int | None = None
    weight_decay: float | None = None
    max_steps: int | None = None
    step: int | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    sigma_ratio: float | None = None
    model: str | None = None
    host: str | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


class Library:
    """The runs under one directory; reads, never writes, and never follows a name given from outside.

    Args:
        root: the directory served. A link in it that leads out of it is not followed.

    Raises:
        StoreError: it is no directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise StoreError(f"{root}: there is no such directory. Give one that holds runs.")
        self._metrics: OrderedDict[str, GrowingLines] = OrderedDict()
        self._reading = threading.Lock()

    def names(self) -> list[str]:
        """Names of all runs found, in the order of the file system's names; cost: a listing of each folder."""
        return [
            path.relative_to(self.root).as_posix() for path, _ in zip(self._runs(), range(_MOST_RUNS), strict=False)
        ]

    def path(self, name: str) -> Path:
        """The directory of a run.

        Raises:
            UnknownRunError: there is none of that name. Names are compared, never joined to a path.
        """
        if name not in self.names():
            raise UnknownRunError(f"there is no run {name!r} under {self.root}; it was moved, or never there")
        return self.root / name

    def stamp(self, name: str) -> tuple[int, int]:
        """Something that changes when a run is replaced by another of its name.

        Raises:
            UnknownRunError: it is gone.
        """
        try:
            found = (self.path(name) / "config.json").stat()
        except OSError as cause:
            raise UnknownRunError(f"the run {name!r} is gone") from cause
        return found.st_mtime_ns, found.st_ino

    def lines(self) -> list[RunLine]:
        """One line a run; a damaged run has one, too."""
        return [self.line(name) for name in self.names()]

    def line(self, name: str) -> RunLine:
        """The line of one run that :meth:`names` has given."""
        path = self.root / name
        try:
            lock = read_lock(path / "lock")
            run = RunDirectory.open(path)
            status = run.status
            about = _about(path, run)
        except (StoreError, OSError) as problem:
            return RunLine(name, "unreadable", "unreadable", why=str(problem))
        return RunLine(
            name,
            **about,
            state="running" if lock.held else _state(status),
            step=status.get("step"),
            train_accuracy=number(status.get("train_accuracy")),
            test_accuracy=number(status.get("test_accuracy")),
            sigma_ratio=number(status.get("sigma_ratio")),
            host=lock.holder.host if lock.holder else None,
            why=str(status["why"]) if status.get("why") else None,
        )

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """The committed metrics of a run; cost: what was added since the last call.

        Raises:
            StoreError: they are damaged.
            UnknownRunError: the run is gone.
        """
        path = self.path(name)
        with self._reading:  # a file is read by one at a time, as its place in it is kept
            kept = self._metrics.pop(name, None) or GrowingLines(path / "metrics.jsonl")
            self._metrics[name] = kept
            if len(self._metrics) > _METRICS_KEPT:
                self._metrics.popitem(last=False)
            lines = kept.read()
        for i, line in enumerate(lines):
            if not isinstance(line.get("step"), int):
                raise RunCorruptError(f"{path / 'metrics.jsonl'}:{i + 1}: has no step")
        return lines

    def curve(self, name: str) -> dict[str, list[float]]:
        """Test accuracy over steps, thinned to what a sparkline shows; empty where there is none."""
        known = [line for line in self.metrics(name) if number(line.get("test_accuracy")) is not None]
        shown = thinned(known, _CURVE_POINTS)
        return {"step": [line["step"] for line in shown], "test_accuracy": [line["test_accuracy"] for line in shown]}

    def _runs(self) -> Iterator[Path]:
        level = [self.root]
        for _ in range(_DEPTH + 1):
            below: list[Path] = []
            for folder in level:
                if self._is_run(folder):
                    yield folder
                else:
                    below += self._folders(folder)
            level = below

    def _is_run(self, folder: Path) -> bool:
        """Whether it has a configuration, and no file that is a link out of the directory served."""
        try:
            if not (folder / "config.json").is_file():
                return False
            with os.scandir(folder) as entries:
                return all(self.holds(folder / entry.name) for entry in entries if entry.is_symlink())
        except OSError:  # it vanished, or is not ours to read
            return False

    def holds(self, path: Path) -> bool:
        """Whether a path, links followed, lies in the directory served."""
        return path.resolve().is_relative_to(self.root)

    def _folders(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                found = [folder / entry.name for entry in entries if entry.is_dir() and _is_name(entry.name)]
        except OSError:  # it vanished, or is not ours to read
            return []
        return sorted(path for path in found if not path.is_symlink() or self.holds(path))


def _about(path: Path, run: RunDirectory) -> dict[str, Any]:
    if run.config.get("kind") == "recording":
        return {"kind": "recording", "model": str(run.config.get("model"))}
    _, config = open_run(path)
    training = config.training
    kept = ("operation", "p", "seed", "weight_decay", "max_steps")
    return {"kind": "training", **{name: getattr(training, name) for name in kept}}


def _state(status: dict[str, Any]) -> str:
    return "stopped" if status.get("state") in (None, "running") else str(status["state"])


def _is_name(text: str) -> bool:
    """Not hidden, and of characters that an address can have: bytes that are no text are none."""
    return not text.startswith(".") and text.isprintable()


def number(value: Any) -> float | None:
    """A number of somebody else's file, ``None`` where it is none or too large."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
