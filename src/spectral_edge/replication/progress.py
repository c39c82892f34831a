"""Where each run of a reproduction stands, read from disk, and how long it will still take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spectral_edge.replication.catalogue import studies_for
from spectral_edge.replication.decision.evidence import is_asked
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import RunDirectory, StoreError
from spectral_edge.subjects.profiles import GROKKING
from spectral_edge.subjects.training_run import RunConfig, run_folder

__all__ = ["Progress", "progress_of"]

# For the estimate of the time left only: steps to the stopping rule as measured, seconds of a study on one core.
_STEPS_ALONE = {"sub": 3500, "add": 3300, "mul": 2900, "x2_y2": 2400}
_STEPS_SHARED = 30_000
_STEPS_PER_SECOND = 55.0
_STUDY_SECONDS = {"training": 2.0, "pictures": 10.0, "measurement": 60.0}
_OTHER_STUDY_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """Where one run stands, for display.

    Attributes:
        name: run id.
        stage: waiting, training, the name of a study, measurement, or done.
        step, train_accuracy, test_accuracy, sigma_ratio: of the last evaluation, where there is one.
        seconds_left: estimate on one core, from the typical length of such a run and of its studies.
        note: what happened to the run, if it had to be set aside.
    """

    name: str
    stage: str
    step: int | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    sigma_ratio: float | None = None
    seconds_left: float = 0.0
    note: str | None = None


def progress_of(
    out: Path,
    run: RunConfig,
    analysis: AnalysisConfig,
    claims: tuple[str, ...],
    placed: Literal["waiting", "running", "done"],
    note: str | None = None,
) -> Progress:
    """Read how far a run has come; a file that is missing or damaged counts as not started.

    Args:
        out: result directory.
        run: which run.
        analysis, claims: what it is analysed for.
        placed: what has become of it in the engine.
        note: what happened to it, if it had to be set aside.
    """
    path = run_folder(out, run)
    try:
        status = RunDirectory.open(path).status
    except StoreError:
        status = {}
    keys = ("step", "train_accuracy", "test_accuracy", "sigma_ratio")
    numbers: dict[str, Any] = {key: status.get(key) for key in keys}
    if placed == "done":
        return Progress(run.run_id, "done", **numbers, note=note)
    # Whether a result is there is enough for display; whether it is the run's as it is now, completion asks.
    studies = studies_for(claims, run.training, analysis)
    left = [study.name for study in studies if not (path / study.folder(analysis) / "rows.json").exists()]
    if is_asked(run) and not (out / "measured" / f"{run.run_id}.rows.parquet").exists():
        left.append("measurement")
    seconds = _training_left(run, status) + sum(_STUDY_SECONDS.get(name, _OTHER_STUDY_SECONDS) for name in left)
    stage = "waiting"
    if placed == "running":
        finished = status.get("state") == "finished"
        stage = "training" if not finished else left[0] if left else "done"
    return Progress(run.run_id, stage, **numbers, seconds_left=seconds)


def _training_left(run: RunConfig, status: dict[str, Any]) -> float:
    if status.get("state") == "finished":
        return 0.0
    training = run.training
    usual = _STEPS_ALONE.get(training.operation) if training.operation in GROKKING else training.max_steps
    steps = max(training.min_steps, usual or 0) if len(training.operations) == 1 else _STEPS_SHARED
    speed = status.get("steps_per_second") or _STEPS_PER_SECOND
    return max(0, steps - (status.get("step") or 0)) / speed
