"""What a run offers to watch: quantities over training, each known at the step it stands at, and its landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from spectral_edge.experiments.early_warning.protocol import Statistic, WarningConfig
from spectral_edge.replication.spectra.history import recorded_spectra
from spectral_edge.representation import effective_rank
from spectral_edge.spectrum import displacement_gram, edge_from_gram, rolling_singular_values, update_gram
from spectral_edge.statistics import alarm_level, fall_from_maximum, first_alarm, rise_from_minimum
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["WatchedRun", "alarm_step", "armed_step", "level_before", "watch_run", "watched_values"]

Floats = NDArray[np.float64]
Series = tuple[NDArray[np.int64], Floats]

# A loss of 0 in float32 has no logarithm.
_LEAST = float(np.finfo(np.float64).tiny)
_MOVES: dict[str, Callable[[Floats], Floats]] = {"fall": fall_from_maximum, "rise": rise_from_minimum}


@dataclass(frozen=True, eq=False)
class WatchedRun:
    """A run as a monitor sees it.

    Attributes:
        run_id: of the run.
        operation: what it learned.
        p: its modulus, or number of tokens.
        seed: of data and model.
        weight_decay: of the optimizer.
        steps: the last step.
        memorised_step: first evaluation at which the training data are known, ``None`` if there is none.
        transition_step: first evaluation with test accuracy above 0.5, ``None`` if there is none.
        grok_step: first of the evaluations that met the stopping rule.
        quantities: (steps, values) by quantity and stride; a value needs nothing from after its step.
    """

    run_id: str
    operation: str
    p: int
    seed: int
    weight_decay: float
    steps: int
    memorised_step: int | None
    transition_step: int | None
    grok_step: int | None
    quantities: Mapping[tuple[str, int | None], Series] = field(repr=False)

    def event_step(self, config: WarningConfig) -> int | None:
        """The step of what there is to warn of, ``None`` if the run does not generalise in that sense."""
        return self.transition_step if config.event == "transition" else self.grok_step


def watch_run(run: TrainedRun, config: WarningConfig) -> WatchedRun:
    """Read every quantity of a run: one pass over its evaluations and one over its snapshots.

    Windows of a stride that the run is too short for, or did not record, are left out.

    Raises:
        StoreError: the run is damaged.

    Cost: a second for the paper's run.
    """
    training = run.training
    evaluated = np.array([line["step"] for line in run.metrics])
    columns: dict[tuple[str, int | None], Series] = {
        (name, None): (evaluated, np.array([line[name] for line in run.metrics], dtype=np.float64))
        for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    }
    columns["step", None] = (evaluated, evaluated.astype(np.float64))
    columns["weight_decay", None] = (evaluated, np.full(len(evaluated), training.weight_decay))
    spectra = _spectra_of_snapshots(run, config, columns)
    recorded = dict(recorded_spectra(run, config.step_window))
    if recorded:
        spectra[1] = (np.array(list(recorded)), np.stack(list(recorded.values())))
    for stride, (ends, sigma) in spectra.items():
        columns |= {(name, stride): (ends, values) for name, values in _of_spectrum(sigma).items()}
    memorised = columns["train_accuracy", None][1] >= config.memorised_accuracy
    generalised = columns["test_accuracy", None][1] > config.event_accuracy
    return WatchedRun(
        run_id=run.config.run_id,
        operation=training.operation,
        p=training.p,
        seed=training.seed,
        weight_decay=training.weight_decay,
        steps=int(evaluated[-1]),
        memorised_step=_first(evaluated, memorised),
        transition_step=_first(evaluated, generalised),
        grok_step=run.grok_step,
        quantities=columns,
    )


def _spectra_of_snapshots(
    run: TrainedRun, config: WarningConfig, columns: dict[tuple[str, int | None], Series]
) -> dict[int, Series]:
    """Spectra of windows of snapshots; adds the norm of all weights to ``columns``, from the same pass."""
    steps = [step for step in run.run.snapshot_steps() if step % config.stride == 0]
    layout = run.model_at(steps[0])[1]
    norms, vectors = [], []
    for step in steps:
        snapshot = run.run.read_snapshot(step)
        norms.append(float(sum(tensor.double().square().sum() for tensor in snapshot.values())) ** 0.5)
        vectors.append(layout.flatten(snapshot))
    columns["weight_norm", None] = (np.array(steps), np.array(norms))
    if len(steps) <= config.window:
        return {}
    sigma = rolling_singular_values(update_gram(displacement_gram(vectors)), config.window)
    return {config.stride: (np.array(steps[config.window :]), sigma)}


def _of_spectrum(sigma: Floats) -> dict[str, Floats]:
    """The quantities of the protocol from singular values (T, W), uncentred."""
    power = sigma**2
    return {
        "g23": power[:, 1] - power[:, 2],
        "gap_ratio": sigma[:, 0] / sigma[:, 1],
        "effective_rank": torch.as_tensor(effective_rank(torch.diag_embed(torch.from_numpy(sigma.copy())))).numpy(),
        "edge_position": np.array([_position(row) for row in sigma]),
        "update_norm": power.mean(axis=1),
    }


def _position(sigma: np.ndarray) -> float:
    """k* of singular values, which may be zero: k* has one definition in this project."""
    gram = torch.diag(torch.from_numpy(sigma.astype(np.float64) ** 2))
    return float(edge_from_gram(gram, lambda: (), center=False, zeros=True).position)


def _first(steps: NDArray[np.int64], holds: NDArray[np.bool_]) -> int | None:
    return int(steps[np.argmax(holds)]) if holds.any() else None


def armed_step(run: WatchedRun, config: WarningConfig) -> int | None:
    """When the monitor of a run is armed, ``None`` if never."""
    return run.memorised_step if config.armed == "memorised" else 0


def watched_values(run: WatchedRun, statistic: Statistic, config: WarningConfig) -> Series:
    """Steps and values of a statistic from arming on; empty if it is never armed or the run has no such quantity."""
    start = armed_step(run, config)
    key = ("step", None) if statistic.quantity == "steps_since_armed" else statistic.key
    steps, values = run.quantities.get(key, (np.array([], dtype=np.int64), np.array([])))
    kept = steps >= (start if start is not None else np.inf)
    steps, values = steps[kept], values[kept]
    if statistic.quantity == "steps_since_armed":
        values = values - (start or 0)
    if not len(values) or statistic.move == "level":
        return steps, values
    return steps, _MOVES[statistic.move](np.maximum(values, _LEAST))


def alarm_step(
    run: WatchedRun, statistic: Statistic, threshold: float, config: WarningConfig, until: int | None = None
) -> int | None:
    """The step of the first alarm, not after ``until``."""
    steps, values = watched_values(run, statistic, config)
    alarm = first_alarm(values, threshold, config.patience) if len(values) else None
    found = None if alarm is None else int(steps[alarm])
    return found if found is None or until is None or found <= until else None


def level_before(run: WatchedRun, statistic: Statistic, config: WarningConfig, until: int | None = None) -> float:
    """The least threshold that raises no alarm up to ``until``; 0, the least value of any statistic, if none could."""
    steps, values = watched_values(run, statistic, config)
    seen = values if until is None else values[steps <= until]
    return max(0.0, alarm_level(seen, config.patience)) if len(seen) else 0.0
