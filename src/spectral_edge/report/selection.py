"""Which stored run, checkpoint and rows a figure shows, and how its caption names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_edge.replication.claims import QUESTIONS
from spectral_edge.replication.decision.arms import PAPER_SEED
from spectral_edge.report.formatting import grouping_label, inputs_label, number

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = [
    "CHECKPOINTS",
    "Panel",
    "character_checkpoint",
    "coordinate_names",
    "latest_checkpoint",
    "representatives",
    "run_source",
    "source",
    "spectrum_panels",
    "task_rank",
    "thinned",
]

_TASK_ORDER = ("add", "sub", "mul", "x2_y2")
_PAPER_PANELS = (
    ("add", "sum"),
    ("sub", "difference"),
    ("mul", "output:mul"),
    ("mul", "discrete_log"),
    ("x2_y2", "output:x2_y2"),
)
CHECKPOINTS = ("stop", "final", "transition", "memorisation", "early")
_COORDINATES = ("additive", "discrete_log", "gaussian")


@dataclass(frozen=True)
class Panel:
    """One task seen through one grouping at one checkpoint."""

    task: str
    grouping: str
    analysis: Analysis
    checkpoint: str

    @property
    def title(self) -> str:
        """Task and grouping, as the panel's heading."""
        return f"{self.task}, by {grouping_label(self.grouping)}"

    @property
    def source(self) -> str:
        """Run, step and setting, as the caption lists them."""
        label = grouping_label(self.grouping)
        return f"{source(self.analysis, self.checkpoint)}, {inputs_label('test')}; grouped by {label}"

    @property
    def published_peaks(self) -> tuple[int, ...]:
        """The frequencies that the paper prints for v1 in this grouping."""
        here = (self.task, self.grouping, "stop")
        return next((q.peaks for q in QUESTIONS if (q.task, q.grouping, q.checkpoint) == here), ())

    def array(self, rest: str) -> np.ndarray | None:
        """Return the panel's stored array ``rest`` (``power`` or ``null``), if there is one."""
        return self.analysis.arrays.get(f"profile.{self.checkpoint}.{self.grouping}.{rest}")


def representatives(analyses: Sequence[Analysis]) -> dict[str, Analysis]:
    """Return one run per task, in the paper's order of tasks.

    With several runs of a task the one with weight decay comes first, then one whose functional modes are
    stored, then the paper's seed, then the smallest seed.
    """

    def rank(analysis: Analysis) -> tuple[bool, bool, bool, int, str]:
        run = analysis.summary
        has_modes = any(name.startswith("profile.") for name in analysis.arrays)
        return run.weight_decay == 0, not has_modes, run.seed != PAPER_SEED, run.seed, run.run_id

    chosen: dict[str, Analysis] = {}
    for analysis in sorted(analyses, key=rank):
        chosen.setdefault(analysis.summary.task, analysis)
    return {task: chosen[task] for task in sorted(chosen, key=task_rank)}


def task_rank(task: str) -> tuple[int, str]:
    """Return the key by which tasks are sorted: the paper's four in its order, then the others by name."""
    return (_TASK_ORDER.index(task) if task in _TASK_ORDER else len(_TASK_ORDER)), task


def latest_checkpoint(analysis: Analysis, kind: str, rest: str = "") -> str | None:
    """Return the last checkpoint for which the array ``{kind}.{checkpoint}{rest}`` is stored."""
    return next((name for name in CHECKPOINTS if f"{kind}.{name}{rest}" in analysis.arrays), None)


def character_checkpoint(analysis: Analysis) -> str | None:
    """Return the last checkpoint with a signed 2-D spectrum in the first coordinates that have one."""
    found = (latest_checkpoint(analysis, "character", f".{name}") for name in _COORDINATES)
    return next((checkpoint for checkpoint in found if checkpoint is not None), None)


def coordinate_names(analysis: Analysis, checkpoint: str) -> list[str]:
    """Return the coordinates whose signed 2-D spectrum is stored at ``checkpoint``."""
    return [name for name in _COORDINATES if f"character.{checkpoint}.{name}" in analysis.arrays]


def spectrum_panels(runs: Mapping[str, Analysis]) -> tuple[list[Panel], list[str]]:
    """Return the paper's five panels, then one for every other task, and why any of them is missing.

    The tasks outside the paper's five panels are grouped by their output.
    """
    others = [(task, f"output:{task}") for task in runs if task not in _TASK_ORDER]
    panels, missing = [], []
    for task, grouping in (*_PAPER_PANELS, *others):
        if task not in runs:
            missing.append(f"{task} by {grouping}: no run of this task")
            continue
        checkpoint = latest_checkpoint(runs[task], "profile", f".{grouping}.power")
        if checkpoint is None:
            missing.append(f"{task} by {grouping}: no stored profile")
            continue
        panels.append(Panel(task, grouping, runs[task], checkpoint))
    return panels, missing


def run_source(analysis: Analysis) -> str:
    """Name a run in a caption: task, id, seed and weight decay."""
    run = analysis.summary
    return f"{run.task}: run {run.run_id}, seed {run.seed}, weight decay {number(run.weight_decay)}"


def source(analysis: Analysis, checkpoint: str) -> str:
    """Name what a panel shows: run, checkpoint, step, stride, window and centring."""
    step, edge = analysis.summary.analysed_steps.get(checkpoint), analysis.summary.edge_setting
    parts = [run_source(analysis), checkpoint if step is None else f"{checkpoint} (step {step})"]
    if edge:
        parts += [f"stride {edge['stride']}", f"window {edge['window']}"]
        parts += ["centred" if edge["centered"] else "uncentred"]
    return ", ".join(parts)


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the values, evenly chosen; the last one is always there.

    >>> thinned(range(7), 3)
    [0, 3, 6]
    """
    every = -(-len(values) // most) or 1
    return list(values[(len(values) - 1) % every :: every])
