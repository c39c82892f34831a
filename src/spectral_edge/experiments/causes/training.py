"""Train a run again from where it has memorised, without a part of every update: does it still generalise, and when?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from spectral_edge.experiments.causes.protocol import CausesProtocol, TrainingArm
from spectral_edge.grokking import Training
from spectral_edge.intervention import RunningEdge, Subspace, project_updates
from spectral_edge.intervention.subspaces import WeightDirection
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.recording import optimizer_metric
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Memorised", "measure_arm", "metrics_of", "train_to_memorised"]

_MEMORISED = 0.8

State = tuple[dict[str, Tensor], dict[str, Any]]


class Memorised:
    """A run one window before it has memorised, where the windows of its arms begin to fill.

    Attributes:
        run: the run as it was, which every arm is compared with.
        begin: the first evaluation with a train accuracy above 0.8 and room for a window before it, where arms begin to
            take something out.
        state: of the training, one window before that.
    """

    def __init__(self, run: TrainedRun, begin: int, state: State) -> None:
        self.run, self.begin, self.state = run, begin, state

    def training(self) -> Training:
        """A training that goes on from there."""
        found = Training(self.run.training)
        found.load_state_dict(*self.state)
        return found

    @property
    def stop(self) -> int:
        """Where the run stopped."""
        assert self.run.stop_step is not None
        return self.run.stop_step


def train_to_memorised(run: TrainedRun, protocol: CausesProtocol) -> Memorised:
    """Train a run's beginning again.

    Raises:
        ValueError: the run has no stop.
    """
    length = protocol.arm_window * protocol.arm_stride
    memorised = [m["step"] for m in run.metrics if m["train_accuracy"] > _MEMORISED and m["step"] >= length]
    if run.stop_step is None or not memorised:
        raise ValueError(f"{run.path}: training arms need a run that memorises and stops; train another seed")
    training = Training(run.training)
    while training.steps < memorised[0] - length:
        training.step()
    return Memorised(run, memorised[0], training.state_dict())


def metrics_of(start: Memorised, steps: list[int]) -> dict[int, Tensor]:
    """√v̂ + ε of the attention weights at some steps of the unchanged run.

    Raises:
        ValueError: the training does not give the run's weights again: it ran on other software.
    """
    training = start.training()
    parameters = attention_weights(training.model)
    found = {}
    while training.steps < max(steps):
        training.step()
        if training.steps in steps:
            found[training.steps] = optimizer_metric(training.optimizer, parameters)
            if not torch.equal(parameters.flatten(), start.run.weights_at(training.steps)):
                raise ValueError(
                    f"{start.run.path}: trained again, step {training.steps} has other weights; the run is of other "
                    "software or threads. Move it away, and it is trained anew."
                )
    return found


def measure_arm(start: Memorised, arm: TrainingArm, protocol: CausesProtocol) -> dict[str, Any]:
    """Train one arm until it stops by the published rule, or to ``patience`` times the unchanged run's stop.

    Returns:
        One row: ``stop`` of the arm, null if it never stopped; ``last``, where its training ended; ``removed_share`` of
        the squared lengths of single updates; ``removed_drift`` of those of the sums of 100 updates; accuracies and the
        norm of the attention weights at its end.
    """
    training = start.training()
    parameters = attention_weights(training.model)
    limit = int(protocol.patience * start.stop)
    subspace = _From(_subspace(arm, parameters, protocol), start.begin - training.steps, start.run.training.eval_every)
    with project_updates(training.optimizer, parameters, remove=subspace) as projection:
        evaluation = training.evaluate()
        while not training.grokked and training.steps < limit:
            training.step()
            if training.steps == start.begin:  # what was asked for before does not count
                projection.removed = projection.total = 0.0
            if training.steps % training.config.eval_every == 0:
                evaluation = training.evaluate()
                training.note(evaluation)
    return {
        "training_arm": arm, "begin": start.begin, "unchanged_stop": start.stop, "stop": training.stop_step,
        "last": training.steps, "removed_share": projection.removed_share, "removed_drift": subspace.drift,
        "train_accuracy": evaluation.train_accuracy, "test_accuracy": evaluation.test_accuracy,
        "norm": float(parameters.flatten().norm()),
    }  # fmt: skip


def _subspace(arm: TrainingArm, parameters: ParameterSubset, protocol: CausesProtocol) -> Subspace:
    def running(k: int, **choices: Any) -> RunningEdge:
        return RunningEdge(parameters, protocol.arm_window, protocol.arm_stride, k, **choices)

    made: Mapping[TrainingArm, Callable[[], Subspace]] = {
        "edge": lambda: running(1),
        "edge3": lambda: running(3),
        "across": lambda: running(1, across_weights=True),
        "theta": WeightDirection,
        "span": lambda: running(3, at_random=True),
        "bulk": lambda: running(3, skip=3),
    }
    return made[arm]()


class _From:
    """A subspace from some step on; what it takes out of the sums of ``every`` updates is added up."""

    def __init__(self, subspace: Subspace, after: int, every: int) -> None:
        self._subspace, self._after, self._every = subspace, after, every
        self._steps = 0
        self._rows: Tensor | None = None
        self._sums: Tensor | None = None  # asked for, and taken out
        self._squares = torch.zeros(2, dtype=torch.float64)

    @property
    def drift(self) -> float:
        """Share of the squared lengths of the sums that was taken out."""
        asked, out = self._squares.tolist()
        return out / asked if asked else 0.0

    def directions(self, theta: Tensor) -> Tensor | None:
        """As :meth:`Subspace.directions`."""
        self._rows = self._subspace.directions(theta) if self._steps >= self._after else None
        return self._rows

    def saw(self, update: Tensor, step: int) -> None:
        """As :meth:`Subspace.saw`."""
        self._steps = step
        if step > self._after:
            out = torch.zeros_like(update) if self._rows is None else (self._rows @ update) @ self._rows
            pair = torch.stack([update, out])
            self._sums = pair if self._sums is None else self._sums + pair
            if (step - self._after) % self._every == 0:
                self._squares += self._sums.double().square().sum(1)
                self._sums = None
        self._subspace.saw(update, step)

    def state_dict(self) -> dict[str, Tensor]:
        """As :meth:`Subspace.state_dict`; an arm is never continued."""
        return self._subspace.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """As :meth:`Subspace.load_state_dict`."""
        self._subspace.load_state_dict(state)
