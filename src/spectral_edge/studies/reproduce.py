"""The reproduction: train every run of a profile, analyse each, several at a time, and assemble the claims."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spectral_edge.grokking import TrainingConfig
from spectral_edge.store import Analysis, Claims, RunDirectory, StoreError, hold_lock, read_claims, write_claims
from spectral_edge.studies.assembly import assemble
from spectral_edge.studies.run_analysis import analyze_run
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.training_run import RunConfig, run_folder, train_run

__all__ = ["Progress", "ReproduceConfig", "reproduce"]

_POLL_SECONDS = 0.5
# Steps to the stopping rule, measured with seed 42: only to start the longest run first and to estimate the time left.
_TYPICAL_STEPS = {"sub": 3500, "add": 3300, "mul": 2900, "x2_y2": 2400}
_ANALYSIS_SECONDS = 60.0


class ReproduceConfig(BaseModel):
    """What to reproduce."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["quick"] = "quick"
    """quick: the four operations that grok, seed 42."""
    jobs: int = Field(2, ge=1)
    """Runs at a time, one process with one thread each."""
    analysis: AnalysisConfig = AnalysisConfig()
    """How each run is analysed."""

    @property
    def runs(self) -> list[RunConfig]:
        """The runs of the profile, longest first."""
        return [RunConfig(training=TrainingConfig(operation=name)) for name in _TYPICAL_STEPS]


@dataclass(frozen=True)
class Progress:
    """Where one run stands, for display.

    Attributes:
        name: run id.
        stage: waiting, training, analysis or done.
        step, train_accuracy, test_accuracy, sigma_ratio: of the last evaluation, where there is one.
        seconds_left: estimate from the typical length of such a run, ``None`` where unknown.
    """

    name: str
    stage: Literal["waiting", "training", "analysis", "done"]
    step: int | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    sigma_ratio: float | None = None
    seconds_left: float | None = None


def reproduce(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None = None
) -> tuple[Claims, list[Analysis]]:
    """Run the profile into ``out`` and write ``out/claims.json``; whatever is finished already is not redone.

    Args:
        out: result directory, made if missing; runs go to ``out/runs/<run id>``.
        config: profile, jobs, analysis.
        on_progress: called about twice a second with one entry a run.

    Returns:
        The claims, and the analyses that figures are drawn from.

    Raises:
        StoreError: ``out`` is a file or cannot be written, or a run is damaged or in use by another process.
    """
    _prepare(out)
    with hold_lock(out / "lock"):  # a second command here would only steal runs from the first
        return _reproduce(out, config, on_progress)


def _reproduce(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None
) -> tuple[Claims, list[Analysis]]:
    started = time.monotonic()
    context = get_context("spawn")
    # Linear-algebra libraries read these when they are loaded, so they must be set before the worker starts.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with ProcessPoolExecutor(config.jobs, context, initializer=_end_with_parent, initargs=(os.getpid(),)) as pool:
        jobs = {run.run_id: pool.submit(_complete, run_folder(out, run), run, config.analysis) for run in config.runs}
        try:
            _follow(out, config, jobs, on_progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    analyses = [analyze_run(run_folder(out, run), config.analysis) for run in config.runs]
    claims = assemble(analyses, config.profile, round(time.monotonic() - started, 1))
    return _commit(out / "claims.json", claims), analyses


def _prepare(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: the output path is a file. Choose another path, or move the file away.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise StoreError(f"{out}: cannot be made ({cause.strerror}). Choose another path.") from cause


def _commit(path: Path, claims: Claims) -> Claims:
    """Write the claims unless the file already says the same: a repeated command leaves the first record standing."""
    if path.exists():
        try:
            old = read_claims(path)
        except StoreError:
            old = None  # damaged: it is derived from the runs, so it is made again
        if old is not None and (old.rows, old.verdicts, old.runs) == (
            claims.rows,
            claims.verdicts,
            claims.runs,
        ):
            return old
    write_claims(path, claims)
    return claims


def _complete(path: Path, run: RunConfig, analysis: AnalysisConfig) -> None:
    train_run(path, run)
    analyze_run(path, analysis)


def _end_with_parent(parent: int) -> None:
    """End this worker when the command that started it is killed: an orphan would hold its run's lock."""

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()


def _follow(
    out: Path,
    config: ReproduceConfig,
    jobs: dict[str, Future[None]],
    on_progress: Callable[[list[Progress]], None] | None,
) -> None:
    analysing: dict[str, float] = {}
    pending: set[Future[None]] = set(jobs.values())
    while pending:
        done, pending = wait(pending, timeout=_POLL_SECONDS)
        for job in done:
            try:
                job.result()  # the first failure ends the command with its own message
            except BrokenProcessPool:
                raise StoreError(
                    f"{out}: a worker process was killed (out of memory, or by hand). The same command continues."
                ) from None
        if on_progress:
            on_progress([_progress(run_folder(out, run), run, jobs[run.run_id], analysing) for run in config.runs])


def _progress(path: Path, run: RunConfig, job: Future[None], analysing: dict[str, float]) -> Progress:
    name = run.run_id
    try:
        status = RunDirectory.open(path).status
    except StoreError:
        status = {}
    numbers: dict[str, Any] = {
        key: status.get(key) for key in ("step", "train_accuracy", "test_accuracy", "sigma_ratio")
    }
    if job.done():
        return Progress(name, "done", **numbers)
    if not status or not job.running():
        return Progress(name, "waiting", **numbers)
    if status["state"] == "finished":
        since = analysing.setdefault(name, time.monotonic())
        return Progress(
            name, "analysis", **numbers, seconds_left=max(0.0, _ANALYSIS_SECONDS - time.monotonic() + since)
        )
    remaining = max(0, _TYPICAL_STEPS[run.training.operation] - status["step"])
    speed = status.get("steps_per_second")
    left = remaining / speed + _ANALYSIS_SECONDS if speed else None
    return Progress(name, "training", **numbers, seconds_left=left)
