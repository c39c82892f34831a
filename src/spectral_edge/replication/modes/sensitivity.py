"""How far each number hangs on the choices that make an edge: window, stride, centring, step of the derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from spectral_edge.comparison import iterate_random_directions
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.aggregation import combine_seeds, headline_rows
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.claims.c09_sum_of_squares import BASES
from spectral_edge.replication.claims.line import EDGE, Direction, Line, best, mean, mixture
from spectral_edge.replication.modes.quantities import Quantity
from spectral_edge.replication.modes.rows import against
from spectral_edge.replication.modes.selection import has_basis
from spectral_edge.replication.modes.step import StepComparison
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.store import Analysis, Checkpoint, ClaimRow, NullSummary
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["COLUMNS", "SENSITIVITY", "SETTING_COLUMNS", "array_name"]

_WINDOWS = (5, 10, 20, 40)
_STRIDES = (1, 10, 100)
_RELATIVE_EPSILONS = (0.0005, 0.005, 0.05)
# One null a checkpoint serves all its settings: p is at least 1/101 for one direction of one run, and less for the mean
# of three or over three seeds.
_NULL = 100
# A finite difference needs a null of its own step: half the directions, in triples, and only at the end of the run.
_NULL_OF_STEP = 48
_LEVEL = 0.05
_CHECKPOINTS: tuple[Checkpoint, ...] = ("transition", "stop", "final")
_OWN = {
    "add": ("C6", "sum"),
    "sub": ("C8", "difference"),
    "mul": ("C7", "discrete_log"),
    "x2_y2": ("C9", "output:x2_y2"),
}
# Of several bases the larger number is taken, direction by direction.
_ANY_BASIS = "|".join(BASES)

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
    everything = config.model_copy(update={"phases": "all"})  # the draws are those of the whole paper
    for name, at in _steps(run).items():
        steps[name] = at
        for setting, found in _at_step(AnalysedStep(run, everything, name, at), lines, say):
            settings.append(setting)
            table.append(found)
    by_line = np.array(table).transpose(1, 0, 2)
    arrays = {array_name(line): values for line, values in zip(lines, by_line, strict=True)}
    rows = [_setting_row(setting, _default(config, setting.checkpoint)) for setting in settings]
    return Findings([], {"sensitivity.settings": np.array(rows), **arrays}, analysed_steps=steps)


def _deciding(task: str) -> list[Line]:
    """The line a claim is judged by in each setting: one p-value a cell."""
    claim, basis = _OWN[task]
    lines = [
        Line("C3", task, mean(EDGE), "head_purity"),
        Line(claim, task, mean(EDGE), "concentration", _ANY_BASIS if task == "x2_y2" else basis),
        Line("C13", task, mixture(*EDGE), "jaccard", basis),
    ]
    if task == "add":  # of the other tasks, peakedness is what concentration is: F times the number of frequencies
        lines.append(Line("C4", task, Direction((1,)), "peakedness", basis, checkpoint="transition"))
        lines.append(Line("C4", task, mean(EDGE), "effective_rank", inputs="all", checkpoint="transition"))
    if task == "x2_y2":
        lines.append(Line("C14", task, best(EDGE), "r2", "cross_terms", inputs="all"))
    else:
        lines.append(Line("C14", task, best(EDGE), "concentration", basis))
    return lines


def _further(task: str) -> list[Line]:
    """Lines kept as arrays only: v_1 alone, and the bases of x2_y2 one by one."""
    deciding = _deciding(task)
    first = Direction((1,))
    lines = [replace(m, direction=first) for m in deciding if m.direction == mean(EDGE)]
    if task == "x2_y2":
        lines += [Line("C9", task, d, "concentration", q) for q in BASES for d in (mean(EDGE), first)]
    return lines


def _is_defined(line: Line, p: int) -> bool:
    return all(has_basis(basis, p) for basis in _bases(line))


def _bases(line: Line) -> list[str | None]:
    return [None] if line.grouping is None else list(line.grouping.split("|"))


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


def _at_step(here: AnalysedStep, lines: Sequence[Line], say: Say) -> Iterator[tuple[_Setting, list[list[float]]]]:
    """Each setting at one checkpoint and the numbers of its lines; NaN where the run has no such edge."""
    config, name = here.config, here.checkpoint
    n_random = min(_NULL, config.random_directions)
    say(f"null of {n_random} directions at {name}, step {here.step}")
    step = StepComparison.at(here)
    draws = {q: step.draws(q)[: n_random // (1 if q.mixture is None else len(EDGE))] for q in _quantities(lines)}
    for setting in _grid(config, name):
        rows = _directions(here, setting, say)
        found = None if rows is None else _values(step, rows, lines)
        yield setting, [_numbers(line, found, draws, config.seed) for line in lines]
    if name == "transition":
        return
    default = _default(config, name)
    rows = _directions(here, default, say)
    # The head purity is of the direction itself, and the cross-term probe is too dear for a null of every step.
    of_step = [line for line in lines if line.statistic not in ("head_purity", "r2")]
    blocks = iterate_random_directions(
        min(_NULL_OF_STEP, config.random_directions), here.run.model_at(here.step)[1], seed=config.seed
    )
    random = torch.cat(list(blocks))
    for epsilon in _RELATIVE_EPSILONS:
        say(f"finite difference of relative step {epsilon} at {name}")
        look = partial(_values, step, lines=of_step, relative_epsilon=epsilon)
        found, null = (None, {}) if rows is None else (look(rows), _in_triples(look, random))
        yield (
            replace(default, relative_epsilon=epsilon),
            [_numbers(line, found if line in of_step else None, null, config.seed) for line in lines],
        )


_Values = dict[Quantity, np.ndarray]


def _quantities(lines: Sequence[Line]) -> list[Quantity]:
    several = [Quantity.of(replace(line, grouping=basis)) for line in lines for basis in _bases(line)]
    return list(dict.fromkeys(several))


def _values(
    step: StepComparison, rows: torch.Tensor, lines: Sequence[Line], relative_epsilon: float | None = None
) -> _Values:
    """All quantities of given directions, (k,) each, or one of a set; by finite differences if there is a step."""
    quantities = _quantities(lines)
    if relative_epsilon is None:
        found = step.evaluate(rows, quantities)
    else:
        found = step.evaluate(rows, quantities, "finite_difference", relative_epsilon)
    return {quantity: found[str(quantity)] for quantity in quantities}


def _in_triples(look: Callable[[torch.Tensor], _Values], random: torch.Tensor) -> _Values:
    """The same of random directions, three at a time: each triple is a draw for statistics of a set."""
    parts = [look(triple) for triple in random[: len(random) // 3 * 3].split(3)]
    return {quantity: np.concatenate([part[quantity] for part in parts]) for quantity in parts[0]}


def _directions(here: AnalysedStep, setting: _Setting, say: Say) -> torch.Tensor | None:
    """v_1 … v_3; ``None``, and why is said, where the run does not hold the updates or they do not fix v_3."""
    try:
        edge = here.run.edge(here.step, setting.window, setting.stride, setting.centered)
        return edge.directions(len(EDGE))
    except ValueError as why:
        say(
            f"left out: window {setting.window}, stride {setting.stride}, "
            f"{'centred' if setting.centered else 'not centred'}, at {setting.checkpoint}: {why}"
        )
        return None


def _numbers(line: Line, found: _Values | None, draws: _Values, seed: int) -> list[float]:
    """:data:`COLUMNS` of one line in one setting."""
    if found is None:
        return [np.nan] * len(COLUMNS)
    several = [Quantity.of(replace(line, grouping=basis)) for basis in _bases(line)]
    of_edge, of_random = (np.max([side[quantity] for quantity in several], axis=0) for side in (found, draws))
    members = [0] if line.statistic == "jaccard" else [member - 1 for member in line.direction.members]
    measured, null = against(line, of_edge[members], of_random, seed)
    return [measured, null.mean, null.std, null.quantile95, null.pvalue, null.n]


def _setting_row(setting: _Setting, default: _Setting) -> list[float]:
    """:data:`SETTING_COLUMNS`."""
    epsilon = np.nan if setting.relative_epsilon is None else setting.relative_epsilon
    number = _CHECKPOINTS.index(setting.checkpoint)
    return [number, setting.stride, setting.window, setting.centered, epsilon, setting == default]


def array_name(line: Line) -> str:
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


def _row(analysis: Analysis, line: Line, setting: np.ndarray, numbers: np.ndarray) -> ClaimRow:
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
        direction=str(line.direction),
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


SENSITIVITY = Study("sensitivity", 3, ("C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"), _applies, _measure, _across)
