"""The runs that decide: fresh seeds, copies of them, copies of the paper's seed, controls, shared trunks."""

from __future__ import annotations

from typing import Literal, get_args

from spectral_edge.grokking import TrainingConfig
from spectral_edge.subjects import RunConfig
from spectral_edge.subjects.profiles import GROKKING, TRITASK, single_run

__all__ = [
    "ARMS",
    "COPIED_SEEDS",
    "FRESH_SEEDS",
    "NEVER",
    "RESERVE_SEEDS",
    "Arm",
    "planned_seeds",
    "runs_of",
]

Arm = Literal["seeds", "copies", "paper_seed", "controls", "trunk"]
ARMS: tuple[Arm, ...] = get_args(Arm)

FRESH_SEEDS = tuple(range(1001, 1031))
"""None of them was trained before."""
RESERVE_SEEDS = tuple(range(1031, 1041))
"""In this order they take the place of a fresh seed that does not generalise."""
COPIED_SEEDS = FRESH_SEEDS[:10]
TRUNK_SEEDS = FRESH_SEEDS[:6]
PAPER_SEED = 42
NEVER = (
    "x2_xy_y2",
    "x3_xy",
    "x2_xy_y2_x",
    "x3_xy2_y",
    "x2y_xy2",
    "x3_x2y_y",
    "x3_xy_y2",
    "random_table",
)
"""Operations that are not to generalise; one that does is counted where it then belongs."""

_COPIES, _PAPER_COPIES = 3, 10
# A window of 20 updates, 100 steps apart, must fit.
_LEAST = 2_000
_GRID, _PUBLISHED_LENGTH = 5_000, 50_000
_CONTROL_SEEDS, _NO_DECAY_SEEDS = FRESH_SEEDS[:2], FRESH_SEEDS[:3]


def runs_of(arm: Arm, replaced: dict[tuple[str, int], int] | None = None) -> list[RunConfig]:
    """The runs of an arm, longest first.

    * seeds: the four operations that generalise, thirty seeds, to the published stop.
    * copies: copies 1 and 2 of the first ten of these; the run itself is copy 0. Copy 1 keeps its updates, so that
      strides of 1 and 10 can be read as well.
    * paper_seed: ten copies of seed 42.
    * controls: eight operations that do not generalise, two seeds, and the four that do without weight decay, three
      seeds, all to 5000 steps; two of the first with and without weight decay to the published 50 000.
    * trunk: three tasks, x²+y² with either partner and by itself, nonzero residues, six seeds.

    Args:
        arm: which.
        replaced: (operation, seed) -> the seed that took its place, for runs that did not generalise.

    >>> [len(runs_of(arm)) for arm in ARMS]
    [120, 80, 40, 32, 24]
    """
    replaced = replaced or {}
    if arm == "seeds":
        return [single_run(name, replaced.get((name, seed), seed)) for seed in FRESH_SEEDS for name in GROKKING]
    if arm == "copies":
        pairs = [(name, replaced.get((name, seed), seed)) for seed in COPIED_SEEDS for name in GROKKING]
        return [
            single_run(name, seed, copy).model_copy(update={"keep_updates": copy == 1})
            for name, seed in pairs
            for copy in range(1, _COPIES)
        ]
    if arm == "paper_seed":
        return [single_run(name, PAPER_SEED, copy) for copy in range(_PAPER_COPIES) for name in GROKKING]
    if arm == "controls":
        return _controls()
    names = (TRITASK, "add+x2_y2", "mul+x2_y2", "x2_y2")
    return [
        RunConfig(training=TrainingConfig(operation=name, seed=seed, nonzero=True, min_steps=_LEAST))
        for name in names
        for seed in TRUNK_SEEDS
    ]


def planned_seeds(claim: str) -> int:
    """How many seeds the protocol asks of a claim; an answer from fewer is not final.

    >>> planned_seeds("C6"), planned_seeds("C5"), planned_seeds("C11")
    (30, 10, 6)
    """
    if claim in ("C5", "C10"):
        return len(COPIED_SEEDS)
    return len(TRUNK_SEEDS) if claim in ("C11", "C12") else len(FRESH_SEEDS)


def _controls() -> list[RunConfig]:
    def fixed(operation: str, seed: int, weight_decay: float, steps: int) -> RunConfig:
        training = TrainingConfig(
            operation=operation, seed=seed, weight_decay=weight_decay, min_steps=steps, max_steps=steps
        )
        return RunConfig(training=training)

    long = [fixed(name, FRESH_SEEDS[0], decay, _PUBLISHED_LENGTH) for name in NEVER[:2] for decay in (0.0, 1.0)]
    never = [fixed(name, seed, 1.0, _GRID) for name in NEVER for seed in _CONTROL_SEEDS]
    no_decay = [fixed(name, seed, 0.0, _GRID) for name in GROKKING for seed in _NO_DECAY_SEEDS]
    return [*long, *never, *no_decay]
