"""How far each verdict hangs on the choices that make an edge: window, stride, centring, step of the derivative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from spectral_edge.grokking import TrainingConfig
from spectral_edge.statistics import random_directions
from spectral_edge.store import Analysis, Checkpoint, ClaimRow, NullSummary
from spectral_edge.studies.aggregation import combine_seeds, headline_rows
from spectral_edge.studies.measurement import cross_term_probe, measure, measured_at_random
from spectral_edge.studies.modes.evidence import Evidence
from spectral_edge.studies.modes.published import Measurement
from spectral_edge.studies.modes.study import has_basis
from spectral_edge.studies.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["COLUMNS", "SENSITIVITY", "SETTING_COLUMNS", "array_name"]

_WINDOWS = (5, 10, 20, 40)
_STRIDES = (1, 10, 100)
_RELATIVE_EPSILONS = (0.0005, 0.005, 0.05)
_EDGE = 3
# One null a checkpoint serves all its settings: p is at least 1/101 for one direction of one run, and less for the mean
# of three or over three seeds.
_NULL = 100
# A finite difference needs a null of its own step: half the directions, and only at the end of the run.
_NULL_OF_STEP = 50
_LEVEL = 0.05
_CHECKPOINTS: tuple[Checkpoint, ...] = ("transition", "stop", "final")
_OWN = {
    "add": ("C6", "sum"),
    "sub": ("C8", "difference"),
    "mul": ("C7", "discrete_log"),
    "x2_y2": ("C9", "output:x2_y2"),
}
_X2_Y2_BASES = "sum|discrete_log|output:x2_y2|gaussian_radial|gaussian_angular"
_MEAN, _BEST = f"mean(v1..v{_EDGE})", f"best(v1..v{_EDGE})"

SETTING_COLUMNS = ("checkpoint", "stride", "window", "centered", "relative_epsilon", "default")
"""Columns of ``sensitivity.settings``: checkpoint 0 transition, 1 stop, 2 final; no epsilon (NaN) is the derivative."""
COLUMNS = ("measured", "null_mean", "null_std", "null_quantile95", "pvalue", "n")
"""Columns of the other arrays, one row a setting; NaN where the setting is impossible or does not matter."""


@dataclass(frozen=True)
class _Setting:
    checkpoint: Checkpoint
    stride: int
    window: int
    centered: bool
    relative_epsilon: float | None = None


def _applies(training: TrainingConfig) -> bool:
    return training.operation in _OWN and not training.nonzero and training.weight_decay > 0


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    lines = [m for m in (*_deciding(run.task.name), *_further(run.task.name)) if _is_defined(m, run.training.p)]
    settings: list[_Setting] = []
    table: list[list[list[float]]] = []
    steps: dict[str, int] = {}
    for name, step in _steps(run).items():
        steps[name] = step
        for setting, evidence in _evidence(run, config, name, step, say):
            settings.append(setting)
            table.append([_numbers(evidence, line, setting) for line in lines])
    by_line = np.array(table).transpose(1, 0, 2)
    arrays = {array_name(line): values for line, values in zip(lines, by_line, strict=True)}
    rows = [_setting_row(setting, _default(config, setting.checkpoint)) for setting in settings]
    return Findings([], {"sensitivity.settings": np.array(rows), **arrays}, analysed_steps=steps)


def _deciding(task: str) -> list[Measurement]:
    """The line a claim is judged by in each setting: one p-value a cell."""
    claim, basis = _OWN[task]
    lines = [
        Measurement("C3", task, _MEAN, "head_purity"),
        Measurement(claim, task, _MEAN, "concentration", _X2_Y2_BASES if task == "x2_y2" else basis),
        Measurement("C13", task, "v1+v2+v3", "jaccard", basis),
    ]
    if task == "add":  # of the other tasks, peakedness is what concentration is: F times the number of frequencies
        lines.append(Measurement("C4", task, "v1", "peakedness", basis, checkpoint="transition"))
        lines.append(Measurement("C4", task, _MEAN, "effective_rank", inputs="all", checkpoint="transition"))
    if task == "x2_y2":
        lines.append(Measurement("C14", task, _BEST, "r2", "cross_terms", inputs="all"))
    else:
        lines.append(Measurement("C14", task, _BEST, "concentration", basis))
    return lines


def _further(task: str) -> list[Measurement]:
    """Lines kept as arrays only: v_1 alone, and the bases of x2_y2 one by one."""
    deciding = _deciding(task)
    lines = [replace(m, direction="v1") for m in deciding if m.direction == _MEAN]
    if task == "x2_y2":
        lines += [
            Measurement("C9", task, d, "concentration", q) for q in _X2_Y2_BASES.split("|") for d in (_MEAN, "v1")
        ]
    return lines


def _is_defined(line: Measurement, p: int) -> bool:
    bases = [None] if line.grouping is None else line.grouping.split("|")
    return all(has_basis(replace(line, grouping=basis), p) for basis in bases)


def _steps(run: TrainedRun) -> dict[Checkpoint, int]:
    """The transition, and the stop, or the end of a run that has none."""
    names: tuple[Checkpoint, ...] = ("transition", "stop")
    found = {name: run.step_of(name) for name in names}
    if found["stop"] is None:
        found["final"] = run.step_of("final")
    return {name: step for name, step in found.items() if step is not None}


def _default(config: AnalysisConfig, checkpoint: Checkpoint) -> _Setting:
    """The setting of the main study."""
    return _Setting(checkpoint, config.stride, config.window, config.centered)


def _grid(config: AnalysisConfig, checkpoint: Checkpoint) -> list[_Setting]:
    strides, windows = {*_STRIDES, config.stride}, {*_WINDOWS, config.window}
    return [
        _Setting(checkpoint, stride, window, centered)
        for stride in sorted(strides)
        for window in sorted(windows)
        for centered in (True, False)
    ]


def _evidence(
    run: TrainedRun, config: AnalysisConfig, name: Checkpoint, step: int, say: Say
) -> Iterator[tuple[_Setting, Evidence | None]]:
    """Each setting at one checkpoint with v_1 … v_3 beside its null, ``None`` where the run has no such edge."""
    task, training = run.task, run.training
    model, parameters = run.model_at(step)
    look = partial(measure, model, tasks=run.tasks, parameters=parameters, n_components=0)
    test = task.split(training.frac_train, training.seed).test
    beside = partial(Evidence, task, test, n_permutations=0, seed=config.seed)
    say(f"null of {min(_NULL, config.random_directions)} directions at {name}, step {step}")
    probe = cross_term_probe(run)
    null = measured_at_random(run, config, step).first(_NULL)
    default = _default(config, name)
    for setting in _grid(config, name):
        directions = _directions(run, step, setting, say)
        yield setting, None if directions is None else beside(look(directions, probe=probe), null)
    if name == "transition":
        return
    directions = _directions(run, step, default, say)
    draws = random_directions(min(_NULL_OF_STEP, config.random_directions), parameters.dim, config.seed)
    for epsilon in _RELATIVE_EPSILONS:
        say(f"finite difference of relative step {epsilon} at {name}")
        step_by_step = partial(look, method="finite_difference", relative_epsilon=epsilon)
        setting = replace(default, relative_epsilon=epsilon)
        if directions is None:
            yield setting, None
        else:
            yield setting, beside(step_by_step(directions), step_by_step(draws))


def _directions(run: TrainedRun, step: int, setting: _Setting, say: Say) -> torch.Tensor | None:
    """v_1 … v_3; ``None``, and why is said, where the run does not hold the updates or they do not fix v_3."""
    try:
        return run.edge_at(step, setting.window, setting.stride, setting.centered).directions(_EDGE)
    except ValueError as why:
        say(
            f"left out: window {setting.window}, stride {setting.stride}, "
            f"{'centred' if setting.centered else 'not centred'}, at {setting.checkpoint}: {why}"
        )
        return None


def _numbers(evidence: Evidence | None, line: Measurement, setting: _Setting) -> list[float]:
    """:data:`COLUMNS` of one line in one setting."""
    # The head purity is of the direction itself, and the cross-term probe is too dear for a null of every step.
    without_step = line.statistic in ("head_purity", "r2")
    if evidence is None or (without_step and setting.relative_epsilon is not None):
        return [np.nan] * len(COLUMNS)
    measured, null = evidence.against_random(line)
    return [measured, null.mean, null.std, null.quantile95, null.pvalue, null.n]


def _setting_row(setting: _Setting, default: _Setting) -> list[float]:
    """:data:`SETTING_COLUMNS`."""
    epsilon = np.nan if setting.relative_epsilon is None else setting.relative_epsilon
    number = _CHECKPOINTS.index(setting.checkpoint)
    return [number, setting.stride, setting.window, setting.centered, epsilon, setting == default]


def array_name(line: Measurement) -> str:
    """Name of the stored array of a line."""
    return f"sensitivity.{line.claim}.{line.direction}.{line.statistic}.{line.grouping or 'none'}"


def _across(analyses: Sequence[Analysis]) -> list[ClaimRow]:
    """One row a claim's line and setting, over seeds; and how many settings agree with that of the main study."""
    known = [analysis for analysis in analyses if "sensitivity.settings" in analysis.arrays]
    rows = [row for analysis in known for row in _rows(analysis)]
    cells = headline_rows([*combine_seeds(rows), *rows])
    default = {tuple(s[1:4]) for a in known for s in a.arrays["sensitivity.settings"] if s[5]}
    return [*cells, *_stability(cells, default)]


def _rows(analysis: Analysis) -> list[ClaimRow]:
    settings = analysis.arrays["sensitivity.settings"]
    lines = [m for m in _deciding(analysis.summary.task) if array_name(m) in analysis.arrays]
    return [
        _row(analysis, line, setting, numbers)
        for line in lines
        for setting, numbers in zip(settings, analysis.arrays[array_name(line)], strict=True)
        if np.isfinite(numbers[0])
    ]


def _row(analysis: Analysis, line: Measurement, setting: np.ndarray, numbers: np.ndarray) -> ClaimRow:
    run = analysis.summary
    checkpoint = _CHECKPOINTS[int(setting[0])]
    measured, mean, std, quantile95, pvalue, n = numbers.tolist()
    epsilon = None if np.isnan(setting[4]) else float(setting[4])
    is_response = line.statistic != "head_purity"
    return ClaimRow(
        claim=line.claim,
        task=run.task,
        seed=run.seed,
        weight_decay=run.weight_decay,
        checkpoint=checkpoint,
        step=run.analysed_steps.get(checkpoint),
        stride=int(setting[1]),
        window=int(setting[2]),
        centered=bool(setting[3]),
        method=None if not is_response else "jvp" if epsilon is None else "finite_difference",
        relative_epsilon=epsilon,
        direction=line.direction,
        statistic=f"sensitivity:{line.statistic}",
        grouping=line.grouping,
        inputs=line.inputs if is_response else None,
        measured=measured,
        null=NullSummary(
            kind="random_directions",
            n=int(n),
            mean=mean,
            std=std,
            quantile95=quantile95,
            alternative=line.alternative,
            pvalue=pvalue,
        ),
        run_id=run.run_id,
    )


def _stability(cells: Sequence[ClaimRow], default: set[tuple[float, ...]]) -> list[ClaimRow]:
    """Share of a line's settings whose p lies on the same side of .05 as that of the main study's setting."""
    lines: dict[tuple[str | None, ...], list[ClaimRow]] = {}
    for row in cells:
        lines.setdefault((row.claim, row.task, row.direction, row.statistic, row.grouping), []).append(row)
    found = []
    for rows in lines.values():
        main = [row for row in rows if _is_main(row, default)]
        if main:
            beyond = [row.null is not None and row.null.pvalue < _LEVEL for row in rows]
            agreeing = np.mean([b == beyond[rows.index(main[0])] for b in beyond])
            found.append(_stability_row(main[0], float(agreeing)))
    return found


def _is_main(row: ClaimRow, default: set[tuple[float, ...]]) -> bool:
    line = next(m for m in _deciding(row.task) if (m.claim, f"sensitivity:{m.statistic}") == (row.claim, row.statistic))
    here = "stop" if row.checkpoint == "final" else row.checkpoint
    edge = (row.stride, row.window, row.centered)
    return edge in default and row.relative_epsilon is None and here == line.checkpoint


def _stability_row(main: ClaimRow, agreeing: float) -> ClaimRow:
    kept = ("claim", "task", "weight_decay", "direction", "grouping", "inputs", "seeds")
    values = {name: getattr(main, name) for name in kept}
    seeds = main.seeds or ([] if main.seed is None else [main.seed])
    statistic = f"verdict_stability:{main.statistic.removeprefix('sensitivity:')}"
    return ClaimRow(**values | {"seeds": seeds, "statistic": statistic, "measured": agreeing})


SENSITIVITY = Study("sensitivity", 1, ("C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"), _applies, _measure, _across)
