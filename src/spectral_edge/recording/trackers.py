"""Callbacks that log live values with the tracker that a project uses already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spectral_edge.recording.live import LiveValues

__all__ = ["to_tensorboard", "to_wandb"]

_FOLDER = "spectral_edge"


def to_tensorboard(writer: Any) -> Callable[[LiveValues], None]:
    """Log to a ``SummaryWriter`` of TensorBoard or tensorboardX, at the training step, under ``spectral_edge/``.

    Args:
        writer: anything with ``add_scalar(name, value, step)``; it stays yours to close.
    """

    def log(values: LiveValues) -> None:
        for name, value in values.scalars().items():
            if name != "step":
                writer.add_scalar(f"{_FOLDER}/{name}", value, values.step)

    return log


def to_wandb(run: Any) -> Callable[[LiveValues], None]:
    """Log to a run of Weights & Biases, online or offline, under ``spectral_edge/`` and against its own step.

    The values go out with whatever you log next, so that your own step count is not moved.

    Args:
        run: what ``wandb.init`` returned; it stays yours to finish.
    """
    run.define_metric(f"{_FOLDER}/step", hidden=True)
    run.define_metric(f"{_FOLDER}/*", step_metric=f"{_FOLDER}/step")

    def log(values: LiveValues) -> None:
        run.log({f"{_FOLDER}/{name}": value for name, value in values.scalars().items()}, commit=False)

    return log
