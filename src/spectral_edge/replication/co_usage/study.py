"""Which inputs and which tasks use the edge: every input's loss differentiated along edge and random directions (C12).

C12 speaks of directions above and below the edge. Elsewhere the paper takes v_1 … v_3 for the edge and the rest for
bulk; published numbers are held against that split, and the split at k* is shown beside it. A sharedness of .3 to .5
needs three tasks (two cannot fall below .5), so these numbers are those of the trunk that three tasks share.

A difference between the two sides of the edge is held against other ways of calling three of v_1 … v_8 the edge. Any
order among edge directions stands out against random directions, which differ less among themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.co_usage.direction_splits import Alternatives, Compared, DirectionSplits, Split
from spectral_edge.replication.modes.step import StepComparison
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study, is_published_protocol
from spectral_edge.representation import co_usage, half_mass_share, sharedness
from spectral_edge.store import Checkpoint, ClaimRow, Inputs
from spectral_edge.subjects.profiles import GROKKING, TRITASK
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["CO_USAGE", "is_published"]

_EDGE = 3  # v_1 … v_3 are the paper's edge
_PUBLISHED = {"mean(v1..v3)": 0.85, "mean(v4..v8)": 0.40}  # printed as .8 to .9 and .3 to .5
_INPUTS: tuple[Inputs, ...] = ("test", "train", "all")
_MORE_IN_EDGE: Alternatives = ("greater", "less", "greater")


def _applies(training: TrainingConfig) -> bool:
    shared = len(training.operations) > 1
    return shared or (training.operation in GROKKING and training.weight_decay > 0 and not training.nonzero)


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    shared = len(run.tasks) > 1
    names: tuple[Checkpoint, ...] = ("stop",) if shared else ("transition", "stop")
    steps = {name: run.step_of(name) for name in names}
    if steps["stop"] is None:  # a run that does not generalise is analysed where it ended
        steps["final"] = run.step_of("final")
    analysed = []
    for name, step in steps.items():
        if step is None:
            continue
        if step < config.window * config.stride:
            say(f"{name} at step {step} comes before the first full window: left out")
            continue
        say(f"loss along {config.random_directions} random directions at {name}, step {step}")
        analysed.append(_CheckpointUsage(run, config, name, step))
    return Findings(
        [row for here in analysed for row in (here.task_rows() if shared else here.pair_rows())],
        {name: array for here in analysed for name, array in here.arrays().items()},
        analysed_steps={here.checkpoint: here.step for here in analysed},
        edge_position={here.checkpoint: here.position for here in analysed},
    )


CO_USAGE = Study("co_usage", 3, ("C12",), _applies, _measure)


class _CheckpointUsage:
    """Loss derivatives (T, k + n, N) of T tasks along v_1 … v_k and n random directions at one step of a run."""

    def __init__(self, run: TrainedRun, config: AnalysisConfig, name: Checkpoint, step: int) -> None:
        self.checkpoint, self.step = name, step
        self._here = AnalysedStep(run, config, name, step)
        compared = StepComparison.at(self._here)
        self.position, self._k = compared.edge.position, compared.k
        of_edge, of_random = compared.kept("loss")
        self._derivatives = np.concatenate([of_edge, of_random]).swapaxes(0, 1)
        split = run.split
        self._index = {"test": split.test, "train": split.train, "all": np.arange(len(run.task.pairs))}
        self._splits = DirectionSplits(self._k, len(of_random), config.seed)
        self._paper = Split(min(_EDGE, self._k - 1), self._k)
        self._at_edge = Split(self.position, self._k, "k*")

    def task_rows(self) -> list[ClaimRow]:
        """How many tasks use a direction, and how much each of them does."""
        rows: list[ClaimRow] = []
        for inputs in _INPUTS:
            usage = self._usage(inputs)
            shared = sharedness(usage)
            rows += self._means("sharedness", shared, self._paper, inputs)
            rows += self._means("sharedness_normalised", sharedness(_relative(usage, self._k)), self._paper, inputs)
            if inputs == "test":
                rows += self._means("sharedness", shared, self._at_edge, inputs)
                singles = self._splits.singles(shared)
                rows += [self._row("sharedness", f"v{i + 1}", found, inputs) for i, found in enumerate(singles)]
        for task, usage, derivatives in zip(self._here.run.tasks, self._usage("test"), self._of("test"), strict=True):
            half = half_mass_share(derivatives)
            rows += self._means("usage", usage, self._paper, "test", ("greater", "greater", "greater"), task.name)
            rows += self._means("half_mass_share", half, self._paper, "test", ("less", "less", "less"), task.name)
        return rows

    def pair_rows(self) -> list[ClaimRow]:
        """Whether directions are used by the same inputs: mean |correlation| over pairs of directions.

        Held-out inputs and Pearson are the published setting and shown in full, the others only as far as to see
        whether the result hangs on them.
        """
        rows: list[ClaimRow] = []
        for inputs in _INPUTS:
            (derivatives,) = self._of(inputs)
            for statistic, sizes in (
                ("co_usage", np.abs(co_usage(derivatives))),
                ("co_usage_spearman", np.abs(co_usage(derivatives, "spearman"))),
            ):
                published = (statistic, inputs) == ("co_usage", "test")
                for split in (self._paper, self._at_edge) if published else (self._paper,):
                    found = self._splits.pairs(sizes, split, _MORE_IN_EDGE)
                    shown = found if published else {name: found[name] for name in found if "across" not in name}
                    rows += [self._row(statistic, direction, it, inputs) for direction, it in shown.items()]
        half = half_mass_share(self._of("test")[0])
        return rows + list(self._means("half_mass_share", half, self._paper, "test", ("less", "less", "less")))

    def arrays(self) -> dict[str, np.ndarray]:
        """What figures are drawn from, on held-out inputs: correlations (T, k, k), usage (T, k), sharedness (k,)."""
        usage, k = self._usage("test"), self._k
        values = {"usage": usage}
        if len(usage) > 1:
            values |= {"sharedness": sharedness(usage), "sharedness_normalised": sharedness(_relative(usage, k))}
        found = {name: array[..., :k] for name, array in values.items()}
        found |= {f"{name}_null": array[..., k:] for name, array in values.items()}
        pearson = np.stack([co_usage(derivatives) for derivatives in self._of("test")])
        spearman = np.stack([co_usage(derivatives, "spearman") for derivatives in self._of("test")])
        for name, matrices in (("pearson", pearson), ("spearman", spearman)):
            found[name] = matrices[:, :k, :k]
            neighbours = np.diagonal(matrices[:, k:, k:], 1, axis1=1, axis2=2)
            found[f"{name}_null"] = np.abs(neighbours[:, ::2])  # each random direction in one pair
        return {
            f"co_usage.{self._here.checkpoint}.{name}": np.ascontiguousarray(array) for name, array in found.items()
        }

    def _of(self, inputs: Inputs) -> np.ndarray:
        return self._derivatives[:, :, self._index[inputs]]

    def _usage(self, inputs: Inputs) -> np.ndarray:
        return np.square(self._of(inputs)).mean(axis=2)

    def _means(
        self,
        statistic: str,
        values: np.ndarray,
        split: Split,
        inputs: Inputs,
        alternatives: Alternatives = _MORE_IN_EDGE,
        task: str | None = None,
    ) -> Iterator[ClaimRow]:
        for direction, found in self._splits.means(values, split, alternatives).items():
            yield self._row(statistic, direction, found, inputs, task)

    def _row(
        self, statistic: str, direction: str, found: Compared, inputs: Inputs, task: str | None = None
    ) -> ClaimRow:
        run, config = self._here.run, self._here.config
        published = None
        is_headline = (statistic, inputs, self._here.checkpoint) == ("sharedness", "test", "stop")
        if is_headline and is_published(run.training, config):
            published = _PUBLISHED.get(direction)
        return self._here.edge_row(
            "C12",
            task=task or run.training.operation,
            model=run.training.operation if len(run.tasks) > 1 else None,
            direction=direction,
            statistic=statistic,
            inputs=inputs,
            measured=found.measured,
            published=published,
            null=found.null,
            further_nulls=found.further_nulls,
        )


def _relative(usage: np.ndarray, k: int) -> np.ndarray:
    """Usage over the mean usage of random directions (ours): a task with larger losses seems to own every direction."""
    return usage / usage[:, k:].mean(axis=1, keepdims=True)


def is_published(training: TrainingConfig, config: AnalysisConfig) -> bool:
    """Whether the paper's numbers speak of this run: only the trunk of three tasks has any."""
    return training.operation == TRITASK and is_published_protocol(training, config)
