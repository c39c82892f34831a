"""Train models into run directories, with their updates recorded, so that a kill at any moment costs seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectral_edge.grokking import Training, TrainingConfig, check_alike, train_together
from spectral_edge.parameters import attention_weights
from spectral_edge.recording import DecayPart, Recorder, watch
from spectral_edge.store import RunCorruptError, RunDirectory, describe_environment, run_id
from spectral_edge.subjects.device import TrainingDevice, check_device

__all__ = ["RunConfig", "open_run", "run_folder", "train_run", "train_runs"]

Say = Callable[[dict[str, Any]], None]

# A checkpoint holds the optimizer state and the window of updates (14 MB for the paper's model): every 500 steps it
# is about 1 % of the time, and a kill repeats a few seconds.
_CHECKPOINT_EVERY = 500
# Of the updates that are kept; a snapshot is taken every 100 steps anyway.
_STRIDES = (1, 10)


class RunConfig(BaseModel):
    """What a run computes: the training protocol and the window of per-step updates recorded with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: TrainingConfig = TrainingConfig()
    """The training protocol."""
    window: int = Field(20, ge=2)
    """Updates in the rolling window of per-step spectra."""
    keep_updates: bool = False
    """Keep that window itself, and as many updates 10 steps apart, where test accuracy first exceeds 0.5 and where the
    stopping rule is met, and at the end: edges of stride 1 and 10 cannot be had from snapshots 100 steps apart."""
    threads: int = Field(1, ge=1)
    """Threads of the training process: floating-point sums, hence the bits of the result, depend on it."""
    device: TrainingDevice = "cpu"
    """Training device. Results differ bitwise between devices."""

    @property
    def run_id(self) -> str:
        """Operation, seed, and a hash of the whole configuration."""
        return run_id(self, f"{self.training.operation}-s{self.training.seed}")


def run_folder(root: Path, config: RunConfig) -> Path:
    """Where a study under ``root`` keeps this run."""
    return root / "runs" / config.run_id


def open_run(path: Path) -> tuple[RunDirectory, RunConfig]:
    """Open a run directory and read its configuration.

    Raises:
        StoreError: the directory is missing, half written, damaged, or from another schema version.
    """
    run = RunDirectory.open(path)
    try:
        return run, RunConfig.model_validate(run.config)
    except ValidationError as problem:
        what = problem.errors()[0]
        where = ".".join(map(str, what["loc"]))
        raise RunCorruptError(
            f"{path / 'config.json'}: {where or 'the configuration'}: {what['msg']}. It was edited, or another program "
            "made it; restore it or move the directory away."
        ) from None


def train_run(path: Path, config: RunConfig, on_status: Say | None = None) -> RunDirectory:
    """Train to the stopping rule, or continue, or find it finished; returns the run.

    Writes, every ``eval_every`` steps including step 0, all parameters (the trajectory), the evaluation, the part of
    the attention weights' update that is weight decay, and the Gram matrix and singular values of the last W per-step
    updates. Killed at any moment, the next call continues from the last checkpoint, and every file but ``status.json``
    ends bitwise as if nothing had happened (on the CPU of the same machine, with the same threads; sums over tokens
    have no fixed order on CUDA).

    Args:
        path: the run directory; made if missing.
        config: what to compute; must be that of an existing directory.
        on_status: called with each new status.

    Raises:
        StoreError: the directory belongs to another configuration or process, is damaged, or cannot be written.
        FloatingPointError: the loss is no longer finite; the run is marked failed.
        ValueError: the device is not there.
    """
    return train_runs([(path, config)], on_status)[0]


def train_runs(runs: Sequence[tuple[Path, RunConfig]], on_status: Say | None = None) -> list[RunDirectory]:
    """Train several runs of one model shape in lockstep, one gradient pass for all: what an accelerator needs.

    Each run directory is what :func:`train_run` makes of it, on the CPU at the paper's size bitwise; a run may be at
    another step than the others, or finished.

    Args:
        runs: folder and configuration of each; they may differ in data, seed, step sizes and length.
        on_status: called with each new status of each run.

    Raises:
        StoreError, ValueError: as :func:`train_run`; also if threads or device differ.
        FloatingPointError: of the first run whose loss is no longer finite, after the others are finished.
    """
    configs = [config for _, config in runs]
    if len({path for path, _ in runs}) < len(runs):
        raise ValueError("train_runs: a run is given twice")
    if len({(config.threads, config.device) for config in configs}) > 1:
        raise ValueError("train_runs: runs that are trained together need the same threads and device")
    check_device(configs[0].device)
    torch.set_num_threads(configs[0].threads)
    # An impossible configuration is refused before anything is written.
    trainings = [Training(config.training, config.device) for config in configs]
    check_alike(trainings)
    with ExitStack() as stack:
        found = [RunDirectory.create(path, config, describe_environment()) for path, config in runs]
        for run in found:
            stack.enter_context(run.lock())
        recordings = {
            training: _record(run, config, training, on_status or (lambda status: None))
            for run, config, training in zip(found, configs, trainings, strict=True)
            if run.status.get("state") != "finished"
        }
        for recording in recordings.values():
            next(recording, None)
        for training in train_together(list(recordings)):
            next(recordings[training], None)
    for training in trainings:
        if training.diverged:
            raise FloatingPointError(training.diverged)
    return found


def _record(run: RunDirectory, config: RunConfig, training: Training, on_status: Say) -> Iterator[None]:
    """Resume a training, then write what belongs to each of its steps; yields where the next step is due."""
    with ExitStack() as stack:
        recorders = {
            stride: stack.enter_context(
                watch(training.model, training.optimizer, window=config.window, every=stride, verbose=False)
            )
            for stride in (_STRIDES if config.keep_updates else _STRIDES[:1])
        }
        decay = stack.enter_context(DecayPart([training.optimizer], attention_weights(training.model)))
        resumed = _resume(run, training, recorders)
        if not resumed:
            run.write_snapshot(0, training.model.state_dict())
        clock, first_step, checkpointed = time.monotonic(), training.steps, training.steps
        spent = run.status.get("seconds", 0.0) if resumed else 0.0
        while not training.finished:
            yield
            if training.steps % config.training.eval_every == 0 or training.finished:
                line = _evaluate(training, recorders[1])
                if training.diverged:
                    step = run.status.get("step", 0)
                    run.write_status({**run.status, "step": step, "state": "failed", "why": training.diverged})
                    return
                run.write_snapshot(training.steps, training.model.state_dict())
                run.write_decay(training.steps, decay.take())  # checkpoints follow, so a resumed sum begins at zero
                _keep_updates(run, training, recorders, line)
                run.append_metrics(line)
                if training.steps - checkpointed >= _CHECKPOINT_EVERY:
                    _checkpoint(run, training, recorders)
                    checkpointed = training.steps
                seconds = time.monotonic() - clock
                speed = (training.steps - first_step) / seconds
                status = _status(training, line, "running", speed, spent + seconds)
                run.write_status(status)
                on_status(status)
    # Not in the loop: a run killed between its last checkpoint and its last status resumes with nothing left to train.
    last = run.metrics()[-1]
    before = run.status
    run.write_status(_status(training, last, "finished", before.get("steps_per_second"), before.get("seconds")))


def _evaluate(training: Training, recorder: Recorder) -> dict[str, Any]:
    evaluation = training.evaluate()
    training.note(evaluation)
    full = recorder.window.full
    return {
        **evaluation.to_dict(),
        "singular_values": recorder.edge(center=False).singular_values.tolist() if full else None,
        "gram_matrix": recorder.window.gram_matrix.tolist() if full else None,  # of any shorter window, too
    }


def _keep_updates(run: RunDirectory, training: Training, recorders: dict[int, Recorder], line: dict[str, Any]) -> None:
    if len(recorders) == 1:
        return
    transition = line["test_accuracy"] > 0.5 and not run.update_steps()
    if transition or training.stop_step == training.steps or training.finished:
        kept = {f"stride{stride}": r.window.updates for stride, r in recorders.items() if r.window.full}
        run.write_updates(training.steps, kept)


def _status(
    training: Training, line: dict[str, Any], state: str, speed: float | None, seconds: float | None
) -> dict[str, Any]:
    sigma = line["singular_values"]
    return {
        "state": state,
        "step": training.steps,
        "max_steps": training.config.max_steps,
        "grokked": training.grokked,
        "train_accuracy": line["train_accuracy"],
        "test_accuracy": line["test_accuracy"],
        "sigma_ratio": sigma[0] / sigma[1] if sigma else None,
        "steps_per_second": speed,
        "seconds": seconds,
    }


def _checkpoint(run: RunDirectory, training: Training, recorders: dict[int, Recorder]) -> None:
    tensors, scalars = training.state_dict()
    recorded = {
        f"recorder.{stride}.{name}": value
        for stride, recorder in recorders.items()
        for name, value in recorder.state_dict().items()
    }
    run.write_checkpoint(training.steps, tensors | recorded, scalars)


def _resume(run: RunDirectory, training: Training, recorders: dict[int, Recorder]) -> bool:
    """Load the newest intact checkpoint and forget what came after it; False if the run starts at step 0."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        run.rewind(-1)
        return False
    step, tensors, scalars = checkpoint
    run.rewind(step)
    for stride, recorder in recorders.items():
        prefix = f"recorder.{stride}."
        recorder.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    training.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("recorder.")}, scalars)
    return True
