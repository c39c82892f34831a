"""Jobs of a Slurm cluster, submitted as one array by submitit; needs the extra ``slurm``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from submitit import AutoExecutor, Job
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError, UncompletedJobError

from spectral_edge.engines.engine import Ended, EngineError, prepare_workers

__all__ = ["SlurmEngine"]

_POLL_SECONDS = 0.5
# Each time limit is followed by a further job that goes on from the last checkpoint.
_MOST_TIMEOUTS = 20
# Slurm refuses arrays of more than MaxArraySize jobs, 1001 unless a cluster says otherwise.
_MOST_IN_ARRAY = 1000


class SlurmEngine:
    """Submits each call as a job with one task and one core; a job that reaches its time limit is queued again.

    What else a cluster asks for (account, quality of service, …) sbatch takes from its environment variables, such as
    ``SBATCH_ACCOUNT``.

    Args:
        folder: where scripts and logs go; seen by all nodes.
        jobs: jobs at a time; None leaves it to Slurm.
        partition: Slurm partition; None for the default one.
        minutes: time limit of a job.
        memory_gb: memory of a job.
        cluster: "slurm"; "local" runs the jobs as processes here, all at once.

    Raises:
        EngineError: there is no Slurm here.
    """

    def __init__(
        self,
        folder: Path,
        jobs: int | None = None,
        partition: str | None = None,
        minutes: int = 60,
        memory_gb: float = 4.0,
        cluster: str = "slurm",
    ) -> None:
        self._minutes = minutes
        self._memory_gb = memory_gb
        self._folder = folder
        self._queue: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        self._placed: dict[str, Job[Any]] = {}
        prepare_workers()  # jobs inherit the environment
        try:
            self._executor = AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=_MOST_TIMEOUTS)
        except RuntimeError:
            raise EngineError(
                "there is no Slurm here: the command srun is missing. Start this on a login node of the cluster, or "
                "choose --engine local or dask."
            ) from None
        self._executor.update_parameters(
            name="spectral-edge",
            timeout_min=minutes,
            mem_gb=memory_gb,
            nodes=1,
            tasks_per_node=1,
            cpus_per_task=1,
            slurm_partition=partition,
            slurm_array_parallelism=jobs,
        )

    def place(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue a call, see :class:`Engine`; what is queued until the next ``collect`` becomes an array."""
        self._queue.append((name, function, arguments))

    def collect(self, seconds: float) -> list[Ended]:
        """Return what has ended, see :class:`Engine`."""
        self._submit()
        deadline = time.monotonic() + seconds
        while True:
            done = [name for name, job in self._placed.items() if job.done()]
            if done or time.monotonic() >= deadline:
                return [self._ended(name, self._placed.pop(name)) for name in done]
            time.sleep(_POLL_SECONDS)

    def _submit(self) -> None:
        while self._queue:
            self._submit_array()

    def _submit_array(self) -> None:
        part, self._queue = self._queue[:_MOST_IN_ARRAY], self._queue[_MOST_IN_ARRAY:]
        try:
            with self._executor.batch():
                jobs = [self._executor.submit(_Resumable(), function, *rest) for _, function, rest in part]
        except (OSError, FailedSubmissionError, UncompletedJobError) as problem:
            raise EngineError(
                f"{self._folder}: the jobs could not be submitted ({problem}). Check --partition, --minutes and "
                "--memory-gb; the same command tries again."
            ) from None
        self._placed |= {name: job for (name, _, _), job in zip(part, jobs, strict=True)}

    def _ended(self, name: str, job: Job[Any]) -> Ended:
        try:
            return Ended(name, job.result())
        except FailedJobError as problem:
            last = [
                line for line in str(problem).splitlines() if line and not line.startswith(("---", "You can", "  -"))
            ]
            return Ended(name, error=EngineError(f"{name}: {last[-1]} (log: {job.paths.stderr})"))
        except UncompletedJobError:
            message = (
                f"{name}: job {job.job_id} ended without a result (state {job.state}; out of memory, out of time, or "
                f"cancelled; log: {job.paths.stderr}). It had {self._memory_gb:g} GB and {self._minutes} minutes: "
                "raise --memory-gb or --minutes; the same command continues from its last checkpoint."
            )
            return Ended(name, error=EngineError(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for job in self._placed.values():
            job.cancel(check=False)


class _Resumable:
    """A call that is queued again when its job reaches the time limit."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def checkpoint(self, function: Callable[..., Any], *arguments: Any) -> DelayedSubmission:
        """What to submit instead: the same, since the run directory has the state."""
        return DelayedSubmission(self, function, *arguments)
