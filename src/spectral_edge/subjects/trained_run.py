"""A trained run opened for analysis: its models, its updates and the steps that the paper's words name."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectral_edge.grokking import ModularTask, ModularTransformer, Split, TrainingConfig
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.recording import UpdatePart
from spectral_edge.spectrum import SpectralEdge, spectral_edge, stacked_updates
from spectral_edge.store import Checkpoint, RunCorruptError, RunDirectory
from spectral_edge.subjects.checkpoints import checkpoint_step, grok_step, snapshots_before, stop_step
from spectral_edge.subjects.training_run import RunConfig, open_run

__all__ = ["TrainedRun"]


@dataclass(frozen=True)
class TrainedRun:
    """What studies read of a run; made by ``open``, which checks it.

    Attributes:
        run: the directory.
        config: what was trained.
        metrics: the evaluations, oldest first, the last one of the last snapshot.
        threads: that share the random directions; the numbers do not depend on it.
        kept: what several studies ask for, while the run is open.
    """

    run: RunDirectory
    config: RunConfig
    metrics: list[dict[str, Any]] = field(repr=False)
    threads: int = 1
    kept: dict[Hashable, object] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> TrainedRun:
        """Open the run at ``path``.

        Raises:
            StoreError: it is missing or damaged, or is finished and its last evaluations are gone.
            ValueError: there are no evaluations yet.
        """
        run, config = open_run(path)
        metrics, snapshots = run.metrics(), run.snapshot_steps()
        finished = run.status.get("state") == "finished"
        if not metrics and not finished:
            raise ValueError(f"{run.path}: the run has no evaluations yet; let it train first")
        for name, lines in (("metrics.jsonl", metrics), ("index.jsonl", snapshots)):
            if not lines:
                raise RunCorruptError(
                    f"{run.path / name}: is missing or empty, but the run has trained. Restore the file, or move the "
                    "run away and train it again."
                )
        evaluated = metrics[-1]["step"]
        if finished and evaluated != snapshots[-1]:
            altered = "index.jsonl" if snapshots[-1] < evaluated else "metrics.jsonl"
            raise RunCorruptError(
                f"{run.path / altered}: lines are missing at its end: the last evaluation is of step {evaluated}, the "
                f"last snapshot of step {snapshots[-1]}. Restore the file, or move the run away and train it again."
            )
        return cls(run, config, metrics, threads)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.run.path

    @property
    def training(self) -> TrainingConfig:
        """The training protocol."""
        return self.config.training

    @cached_property
    def tasks(self) -> tuple[ModularTask, ...]:
        """The operations learned, in the order of their heads; all have the same pairs."""
        return tuple(ModularTask(name, self.training.p, self.training.nonzero) for name in self.training.operations)

    @property
    def task(self) -> ModularTask:
        """The operation, or the first of several."""
        return self.tasks[0]

    @cached_property
    def split(self) -> Split:
        """Which pairs were trained on, and which were held out; of all operations the same."""
        return self.task.split(self.training.frac_train, self.training.seed)

    @property
    def held_out_pairs(self) -> np.ndarray:
        """The pairs (N, 2) that were not trained on, where functions are read."""
        return self.task.pairs[self.split.test]

    @property
    def stop_step(self) -> int | None:
        """Where the published stopping rule was met, ``None`` if it never was."""
        return stop_step(self.metrics, self.training.stop_accuracy, self.training.stop_patience)

    @property
    def grok_step(self) -> int | None:
        """First of the evaluations in a row that met the stopping rule."""
        return grok_step(self.metrics, self.training.stop_accuracy, self.training.stop_patience)

    def step_of(self, checkpoint: Checkpoint, window: int = 20) -> int | None:
        """The step that a checkpoint's name stands for, ``None`` if the run has no such phase; ``window`` for early."""
        return checkpoint_step(self.metrics, checkpoint, window, self.stop_step)

    def model_at(self, step: int) -> tuple[ModularTransformer, ParameterSubset]:
        """The model after ``step`` optimizer steps, and its attention weights.

        Raises:
            StoreError: there is no such snapshot, it is damaged, or it does not fit the configuration.
        """
        t = self.training
        sizes = (t.p, t.operations, t.d_model, t.n_heads, t.n_layers, t.d_mlp)
        weights = self.run.read_snapshot(step)
        with torch.device("meta"):  # of the configuration, which may ask for more memory than there is
            configured = {name: tuple(value.shape) for name, value in ModularTransformer(*sizes).state_dict().items()}
        stored = {name: tuple(value.shape) for name, value in weights.items()}
        for name in sorted(configured.keys() | stored.keys()):
            if configured.get(name) != stored.get(name):
                raise RunCorruptError(
                    f"{self.path}: the snapshot of step {step} does not fit its config.json: {name} has shape "
                    f"{stored.get(name)}, the configuration gives {configured.get(name)}. Restore config.json, or move "
                    "the run away and train it again."
                )
        model = ModularTransformer(*sizes)
        model.load_state_dict(weights)
        return model, attention_weights(model)

    def weights_at(self, step: int) -> Tensor:
        """The attention weights after ``step`` optimizer steps as one vector (D,); errors as :meth:`model_at`."""
        return self._layout.flatten(self.run.read_snapshot(step))

    @cached_property
    def _layout(self) -> ParameterSubset:
        return self.model_at(self.run.snapshot_steps()[0])[1]

    def edge(self, step: int, window: int, stride: int, center: bool, of: UpdatePart = "update") -> SpectralEdge:
        """The spectral edge of the ``window`` updates, ``stride`` optimizer steps each, that end at ``step``.

        Args:
            step: the last.
            window: W.
            stride: optimizer steps an update.
            center: subtract the window's mean.
            of: the updates, their weight decay alone, or the rest of them, which is what gradients did.

        Raises:
            ValueError: the run does not hold them.
            StoreError: a file is damaged.
        """
        return spectral_edge(self.updates(step, window, stride, of), center=center)

    def updates(self, step: int, window: int, stride: int, of: UpdatePart = "update") -> Tensor:
        """The updates of a window, oldest first, (W, D), or a part of them; arguments and errors as :meth:`edge`.

        They come from the snapshots, or, where the stride is finer than these, from the windows that the run kept.
        """
        if of == "update" and stride % self.training.eval_every and step in self.run.update_steps():
            kept = self.run.read_updates(step).get(f"stride{stride}")
            if kept is not None and len(kept) >= window:
                return kept[-window:]
        steps = snapshots_before(self.run, step, stride, window)
        if of == "decay":
            return self._decay(steps)
        updates = stacked_updates([self.weights_at(s) for s in steps], window)
        return updates - self._decay(steps) if of == "gradient" else updates

    def _decay(self, steps: list[int]) -> Tensor:
        """The weight decay between consecutive steps, (len(steps) - 1, D)."""
        known = self.run.decay_steps()
        rows = []
        for start, end in itertools.pairwise(steps):
            between = [step for step in known if start < step <= end]
            if len(between) * self.training.eval_every != end - start:
                between = list(range(start + self.training.eval_every, end + 1, self.training.eval_every))  # names one
            rows.append(torch.stack([self.run.read_decay(step) for step in between]).sum(0))
        return torch.stack(rows)
