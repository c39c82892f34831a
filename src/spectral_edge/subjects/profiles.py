"""The runs of a reproduction: which models are trained, with which seeds."""

from __future__ import annotations

from typing import Literal

import numpy as np

from spectral_edge.grokking import TrainingConfig
from spectral_edge.subjects.training_run import RunConfig

__all__ = [
    "BASIS",
    "GROKKING",
    "NOT_GROKKING",
    "SEEDS",
    "TRITASK",
    "Profile",
    "copy_number",
    "copy_rate",
    "discovery_runs",
    "profile_runs",
    "single_run",
]

Profile = Literal["quick", "paper"]
SEEDS = (42, 137, 2024)
GROKKING = ("sub", "add", "mul", "x2_y2")
BASIS = {"add": "sum", "sub": "difference", "mul": "discrete_log", "x2_y2": "output:x2_y2"}
"""The grouping in which the paper reads each operation."""
NOT_GROKKING = ("x2_xy_y2", "x3_xy")
TRITASK = "add+mul+x2_y2"
RENAMINGS = (1, 2, 3, 4, 5)
_ABLATIONS = ("add+x2_y2", "mul+x2_y2")
# All single-task runs share one grid of steps, so that controls are compared at equal steps.
_GRID = 5_000
# A window of 20 updates, 100 steps apart, must fit before the last step.
_LEAST = 2_000
# A run that is to generalise but has not by the end of the grid goes on to here.
_PATIENCE = 10_000


def profile_runs(profile: Profile, seeds: tuple[int, ...]) -> list[RunConfig]:
    """The runs of a profile, longest first.

    * quick: the four operations that grok, to the published stopping rule.
    * paper: six operations with weight decay 1 and 0, on one grid of steps; three tasks on one trunk; x2_y2 with one
      of its partners (the first two seeds), and x2_y2 and add alone, on the nonzero residues that these use.
    """
    if profile == "quick":
        return [single_run(name, seed) for seed in seeds for name in GROKKING]
    shared = [_shared(TRITASK, seed) for seed in seeds]
    ablations = [_shared(operation, seed) for seed in seeds[:2] for operation in _ABLATIONS]
    alone = [_single(operation, seed, 1.0, nonzero=True) for seed in seeds for operation in ("x2_y2", "add")]
    single = [
        _single(operation, seed, weight_decay)
        for weight_decay in (1.0, 0.0)
        for seed in seeds
        for operation in (*GROKKING, *NOT_GROKKING)
    ]
    return [*shared, *ablations, *single, *alone]


def single_run(operation: str, seed: int, copy: int = 0) -> RunConfig:
    """The run of one operation by the published protocol, to its stop; copy c has the c-th float32 as learning rate.

    It has at least 2000 steps, so that a window of 20 updates fits, and is given up after 10 000.
    """
    training = TrainingConfig(
        operation=operation, seed=seed, learning_rate=copy_rate(copy), min_steps=_LEAST, max_steps=_PATIENCE
    )
    return RunConfig(training=training)


def discovery_runs(seeds: tuple[int, ...] = SEEDS) -> list[RunConfig]:
    """The runs that basis discovery is tested on, longest first.

    Groups that no grouping knows (the symmetric group S_5, a dihedral group, a composite modulus, the points of a
    projective line); a random table; and addition, multiplication and subtraction under five renamings of the tokens.
    Runs of the whole paper are used beside them: addition, subtraction, multiplication, x2_y2, the operations that do
    not grok, and three tasks on one trunk.
    """
    groups = [
        RunConfig(
            training=TrainingConfig(operation=name, p=p, seed=seed, min_steps=_LEAST, max_steps=4 * _GRID),
        )
        for name, p in (("symmetric", 120), ("dihedral", 90), ("velocity", 98), ("add", 91))
        for seed in seeds
    ]
    tables = [
        RunConfig(training=TrainingConfig(operation="random_table", seed=seed, max_steps=_GRID)) for seed in seeds
    ]
    renamed = [
        RunConfig(training=TrainingConfig(operation=f"{name}.renamed{k}", seed=seed, min_steps=_LEAST))
        for k in RENAMINGS
        for name in ("add", "mul", "sub")
        for seed in seeds
    ]
    paper = [run for run in profile_runs("paper", seeds) if _is_compared(run.training)]
    return [*paper, *groups, *tables, *renamed]


def copy_rate(copy: int) -> float:
    """The learning rate of a copy of a run: the ``copy``-th float32 above the published one.

    Weights are float32, so a smaller change might leave no trace in a step at all.

    >>> copy_rate(0), copy_rate(1)
    (0.001, 0.0010000001639127731)
    """
    published = TrainingConfig().learning_rate
    start = np.float32(published)
    return published if copy == 0 else float(start + copy * np.spacing(start))


def copy_number(learning_rate: float) -> int:
    """Which copy has this learning rate; the inverse of :func:`copy_rate`."""
    start = np.float32(TrainingConfig().learning_rate)
    return round(float((np.float32(learning_rate) - start) / np.spacing(start)))


def _is_compared(training: TrainingConfig) -> bool:
    alone = training.weight_decay > 0 and not training.nonzero and "+" not in training.operation
    return alone or training.operation == TRITASK


def _shared(operation: str, seed: int) -> RunConfig:
    return RunConfig(training=TrainingConfig(operation=operation, seed=seed, nonzero=True))


def _single(operation: str, seed: int, weight_decay: float, nonzero: bool = False) -> RunConfig:
    groks = operation in GROKKING and weight_decay > 0
    training = TrainingConfig(
        operation=operation,
        seed=seed,
        weight_decay=weight_decay,
        nonzero=nonzero,
        min_steps=_GRID,
        max_steps=_PATIENCE if groks else _GRID,
    )
    return RunConfig(training=training, window=40, keep_updates=True)
