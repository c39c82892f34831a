"""Where each run of a sweep stands, read from disk without disturbing whoever writes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from spectral_edge.replication.completion import studies_left
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import StoreError, SweepFile, read_lock, sweep_files
from spectral_edge.subjects.training_run import RunConfig, open_run

__all__ = ["RunState", "State", "Wanted", "run_state", "sweep_states"]

State = Literal["waiting", "running", "stopped", "finished", "failed", "unreadable"]
Wanted = tuple[AnalysisConfig, tuple[str, ...]]
"""An analysis, and the claims it is for."""


@dataclass(frozen=True)
class RunState:
    """One run as it stands on disk.

    Attributes:
        run_id: name of its directory.
        state: waiting, not begun; running, somebody holds it; stopped, begun, and nobody holds it; finished; failed,
            and would fail again; unreadable, damaged or nothing of ours.
        path: the directory.
        step: optimizer steps done, None before the first evaluation.
        max_steps: where it ends at the latest.
        seconds_left: until there at the present speed; None while the speed is unknown, and once it is finished. Runs
            that meet the stopping rule end earlier.
        host, pid: who holds it, or who was killed while holding it.
        why: what is wrong with it.
    """

    run_id: str
    state: State
    path: Path
    step: int | None = None
    max_steps: int | None = None
    seconds_left: float | None = None
    host: str | None = None
    pid: int | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return self.__dict__ | {"path": str(self.path)}


def sweep_states(root: Path) -> list[RunState]:
    """Every run that a sweep in ``root`` asked for, and every other run that lies there, by run id.

    Raises:
        StoreError: ``root`` is no directory.
    """
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such directory. Give the --out of a sweep.")
    runs: dict[str, RunConfig] = {}
    wanted: dict[str, list[Wanted]] = {}
    states: list[RunState] = []
    for file in sweep_files(root):
        try:
            sweep = SweepFile.read(file)
            asked = AnalysisConfig.model_validate(sweep.analysis), tuple(sweep.claims)
            configs = [RunConfig.model_validate(run) for run in sweep.runs]
        except (StoreError, ValidationError) as problem:
            states.append(RunState(file.name, "unreadable", file, why=str(problem)))
            continue
        for config in configs:
            runs[config.run_id] = config
            wanted.setdefault(config.run_id, []).append(asked)
    folder = root / "runs"
    names = runs.keys() | {path.name for path in folder.glob("*/")}
    states += [run_state(folder / name, runs.get(name), wanted.get(name, [])) for name in names]
    return sorted(states, key=lambda state: state.run_id)


def run_state(path: Path, run: RunConfig | None, wanted: Sequence[Wanted]) -> RunState:
    """Where the run at ``path`` stands.

    Args:
        path: its directory, which need not be there.
        run: its configuration, if it is known.
        wanted: analyses without which it is not finished.
    """
    try:
        lock = read_lock(path / "lock")
        if run is not None and not (path / "config.json").exists() and not path.is_file():
            state: State = "running" if lock.held else "waiting"  # held while the directory is being made
            return RunState(path.name, state, path, max_steps=run.training.max_steps)
        directory, config = open_run(path)
        status = directory.status
    except StoreError as problem:
        return RunState(path.name, "unreadable", path, why=str(problem))
    left = _steps_left(status, config)
    speed = status.get("steps_per_second")
    known: dict[str, Any] = {
        "step": status.get("step"),
        "max_steps": config.training.max_steps,
        "seconds_left": left / speed if left and speed else None,
        "host": lock.holder.host if lock.holder else None,
        "pid": lock.holder.pid if lock.holder else None,
    }
    if lock.held:
        return RunState(path.name, "running", path, **known)
    if status.get("state") == "failed":
        return RunState(path.name, "failed", path, **known, why=str(status.get("why")))
    try:
        if status.get("state") == "finished" and not any(studies_left(path, config, *asked) for asked in wanted):
            return RunState(path.name, "finished", path, **known)
    except StoreError as problem:
        return RunState(path.name, "unreadable", path, why=str(problem))
    return RunState(path.name, "stopped" if status else "waiting", path, **known)


def _steps_left(status: dict[str, Any], config: RunConfig) -> int:
    return 0 if status.get("state") == "finished" else config.training.max_steps - status.get("step", 0)
