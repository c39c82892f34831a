"""Which stored run, checkpoint and rows a figure shows, and how its caption names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spectral_edge.report.formatting import grouping_label, inputs_label, number
from spectral_edge.store.results import ClaimRow

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = [
    "CHECKPOINTS",
    "DIRECTIONS",
    "PAPER_SEED",
    "Panel",
    "character_checkpoint",
    "concentration_rows",
    "coordinate_names",
    "latest_checkpoint",
    "representatives",
    "run_source",
    "source",
    "spectrum_panels",
    "task_rank",
]

DIRECTIONS = tuple(f"v{index}" for index in range(1, 9))

_TASK_ORDER = ("add", "sub", "mul", "x2_y2")
PAPER_SEED = 42
_PAPER_PANELS = (
    ("add", "sum"),
    ("sub", "difference"),
    ("mul", "output:mul"),
    ("mul", "discrete_log"),
    ("x2_y2", "output:x2_y2"),
)
CHECKPOINTS = ("stop", "final", "transition", "memorisation", "early")
_COORDINATES = ("additive", "discrete_log", "gaussian")


class _Setting(NamedTuple):
    stride: int | None
    window: int | None
    centered: bool | None
    method: str | None
    inputs: str | None


@dataclass(frozen=True)
class Panel:
    """One task seen through one grouping at one checkpoint, with the concentration row per direction."""

    task: str
    grouping: str
    analysis: Analysis
    checkpoint: str
    rows: dict[str, ClaimRow]

    @property
    def title(self) -> str:
        """Task and grouping, as the panel's heading."""
        return f"{self.task}, by {grouping_label(self.grouping)}"

    @property
    def source(self) -> str:
        """Run, step and setting, as the caption lists them."""
        label = grouping_label(self.grouping)
        return f"{source(self.analysis, self.checkpoint, self.rows.get('v1'))}; grouped by {label}"

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
        rows = concentration_rows(runs[task], checkpoint, grouping)
        panels.append(Panel(task, grouping, runs[task], checkpoint, rows))
    return panels, missing


def concentration_rows(analysis: Analysis, checkpoint: str, grouping: str) -> dict[str, ClaimRow]:
    """Return the concentration row of each edge direction, all measured in one setting.

    A run may hold the same statistic for several strides, methods or sets of inputs. The setting kept is
    the one whose v1 value the stored profile repeats, so that every figure speaks of the same measurement.
    """
    rows = [
        row
        for row in analysis.rows
        if (row.statistic, row.checkpoint, row.grouping) == ("concentration", checkpoint, grouping)
        and row.direction in DIRECTIONS
    ]
    if not rows:
        return {}
    power = analysis.arrays.get(f"profile.{checkpoint}.{grouping}.power")
    leading = [row for row in rows if row.direction == "v1"] or rows[:1]
    peak = leading[0].measured if power is None else float(power[0].max())
    setting = _setting(min(leading, key=lambda row: abs(row.measured - peak)))
    kept: dict[str, ClaimRow] = {}
    # Two claims may cite one measurement; the one with a published value says more.
    for row in sorted(rows, key=lambda row: row.published is None):
        if _setting(row) == setting and row.direction is not None:
            kept.setdefault(row.direction, row)
    return kept


def _setting(row: ClaimRow) -> _Setting:
    return _Setting(row.stride, row.window, row.centered, row.method, row.inputs)


def run_source(analysis: Analysis) -> str:
    """Name a run in a caption: task, id, seed and weight decay."""
    run = analysis.summary
    return f"{run.task}: run {run.run_id}, seed {run.seed}, weight decay {number(run.weight_decay)}"


def source(analysis: Analysis, checkpoint: str, row: ClaimRow | None = None) -> str:
    """Name what a panel shows: run, checkpoint, step, stride, window, centring, method and inputs.

    Without ``row`` the setting is read from the run's first v1 row at that checkpoint, and the inputs are
    left out: the caption then says which part of the domain is drawn.
    """
    step = analysis.summary.analysed_steps.get(checkpoint)
    if step is None and row is not None:
        step = row.step
    parts = [run_source(analysis), checkpoint if step is None else f"{checkpoint} (step {step})"]
    known = row or next((row for row in analysis.rows if row.checkpoint == checkpoint and row.direction == "v1"), None)
    if known is not None:
        parts += [f"stride {known.stride}", f"window {known.window}"]
        parts += ["centred" if known.centered else "uncentred"]
        parts += [known.method.replace("_", " ")] if known.method else []
    if row is not None and row.inputs:
        parts.append(inputs_label(row.inputs))
    return ", ".join(parts)
