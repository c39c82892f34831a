"""Which runs lie under a directory, and the line that a list of them shows of each."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spectral_edge.store import GrowingLines, RunDirectory, StoreError, read_lock
from spectral_edge.studies import open_run

__all__ = ["Library", "RunLine", "UnknownRunError"]

# RUNS_DIR itself, RUNS_DIR/run, RUNS_DIR/runs/run, RUNS_DIR/result/runs/run.
_DEPTH = 3
_MOST_RUNS = 10_000
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
        sigma_ratio: sigma_1 / sigma_2 of the last window of updates.
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
        self._metrics: dict[str, GrowingLines] = {}
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
            train_accuracy=_number(status.get("train_accuracy")),
            test_accuracy=_number(status.get("test_accuracy")),
            sigma_ratio=_number(status.get("sigma_ratio")),
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
            return self._metrics.setdefault(name, GrowingLines(path / "metrics.jsonl")).read()

    def curve(self, name: str) -> dict[str, list[float]]:
        """Test accuracy over steps, thinned to what a sparkline shows; empty where there is none."""
        known = [line for line in self.metrics(name) if _number(line.get("test_accuracy")) is not None]
        every = -(-len(known) // _CURVE_POINTS) or 1
        shown = known[::-1][::every][::-1]  # the last one is always there
        return {"step": [line["step"] for line in shown], "test_accuracy": [line["test_accuracy"] for line in shown]}

    def _runs(self) -> Iterator[Path]:
        level = [self.root]
        for _ in range(_DEPTH + 1):
            below: list[Path] = []
            for folder in level:
                if (folder / "config.json").is_file():
                    yield folder
                else:
                    below += self._folders(folder)
            level = below

    def _folders(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                found = [folder / entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except OSError:  # it vanished, or is not ours to read
            return []
        return sorted(path for path in found if not path.is_symlink() or path.resolve().is_relative_to(self.root))


def _about(path: Path, run: RunDirectory) -> dict[str, Any]:
    if run.config.get("kind") == "recording":
        return {"kind": "recording", "model": str(run.config.get("model"))}
    _, config = open_run(path)
    training = config.training
    kept = ("operation", "p", "seed", "weight_decay", "max_steps")
    return {"kind": "training", **{name: getattr(training, name) for name in kept}}


def _state(status: dict[str, Any]) -> str:
    return "stopped" if status.get("state") in (None, "running") else str(status["state"])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
