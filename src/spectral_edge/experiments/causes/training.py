"""Train a run again from where it has memorised, without a part of every update: does it still generalise, and when?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from spectral_edge.experiments.causes.protocol import CausesProtocol, TrainingArm
from spectral_edge.experiments.causes.watched import Watched
from spectral_edge.grokking import Training
from spectral_edge.intervention import RunningEdge, Subspace, project_updates
from spectral_edge.intervention.subspaces import WeightDirection
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.recording import optimizer_metric, watch
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

    def check(self, training: Training) -> None:
        """Refuse a training whose attention weights are not those of the run.

        Raises:
            ValueError: they are others.
        """
        if not torch.equal(attention_weights(training.model).flatten(), self.run.weights_at(training.steps)):
            raise ValueError(
                f"{self.run.path}: trained again, step {training.steps} has other weights; the run is of other "
                "software or threads. Move it away, and it is trained anew."
            )


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


def metrics_of(
    start: Memorised, steps: list[int], protocol: CausesProtocol
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """At some steps of the unchanged run: √v̂ + ε of the attention weights, and v1 of the window that arms use.

    Raises:
        ValueError: the training does not give the run's weights again: it ran on other software.
    """
    training = start.training()
    parameters = attention_weights(training.model)
    metrics, edges = {}, {}
    with watch(
        training.model, training.optimizer, window=protocol.arm_window, every=protocol.arm_stride, verbose=False
    ) as recorder:
        while training.steps < max(steps):
            training.step()
            if training.steps in steps:
                start.check(training)
                metrics[training.steps] = optimizer_metric(training.optimizer, parameters)
                edges[training.steps] = recorder.edge(center=False).directions(1)[0]
    return metrics, edges


def measure_arm(start: Memorised, arm: TrainingArm, protocol: CausesProtocol) -> list[dict[str, Any]]:
    """Train one arm until it stops by the published rule, or to ``patience`` times the unchanged run's stop.

    Returns:
        One row an evaluation: losses, accuracies, norm of the attention weights, and of the 100 steps before it the
        shares of updates that were taken out and how the first direction lies (:class:`Watched`). In each row:
        ``stop`` of the arm, null if it never stopped; ``last``, where its training ended; ``diverged``;
        ``removed_share`` of the squared lengths of all single updates, ``removed_drift`` of those of the sums of 100.

    Raises:
        ValueError: up to its begin the arm is not the run: it ran on other software.
    """
    training = start.training()
    parameters = attention_weights(training.model)
    limit = int(protocol.patience * start.stop)
    every = training.config.eval_every
    subspace = Watched(_subspace(arm, start, parameters, protocol), start.begin - training.steps, parameters, protocol)
    curve = []
    with project_updates(training.optimizer, parameters, remove=subspace):
        while not (training.grokked or training.diverged) and training.steps < limit:
            training.step()
            if training.steps == start.begin:
                start.check(training)
            if training.steps % every == 0 and training.steps >= start.begin:
                evaluation = training.evaluate()
                training.note(evaluation)
                curve.append(
                    {
                        "step": training.steps, "train_loss": evaluation.train_loss, "test_loss": evaluation.test_loss,
                        "train_accuracy": evaluation.train_accuracy, "test_accuracy": evaluation.test_accuracy,
                        "norm": float(parameters.flatten().norm()),
                    } | subspace.take()
                )  # fmt: skip
    whole = {
        "training_arm": arm, "begin": start.begin, "unchanged_stop": start.stop, "stop": training.stop_step,
        "last": training.steps, "diverged": training.diverged is not None, "removed_share": subspace.share,
        "removed_drift": subspace.drift,
    }  # fmt: skip
    return [whole | row for row in curve]


def _subspace(arm: TrainingArm, start: Memorised, parameters: ParameterSubset, protocol: CausesProtocol) -> Subspace:
    def running(k: int, **choices: Any) -> RunningEdge:
        seed = start.run.training.seed
        return RunningEdge(parameters, protocol.arm_window, protocol.arm_stride, k, seed=seed, **choices)

    made: Mapping[TrainingArm, Callable[[], Subspace]] = {
        "edge": lambda: running(1),
        "edge3": lambda: running(3),
        "across": lambda: running(1, across_weights=True),
        "theta": WeightDirection,
        "span": lambda: running(3, at_random=True),
        "span_across": lambda: running(3, at_random=True, across_weights=True),
        "rest": lambda: running(protocol.arm_window - 2, skip=1),
    }
    return made[arm]()
