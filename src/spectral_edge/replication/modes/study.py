"""Functional modes of one trained run: edge, responses, nulls, and every number that C3 … C14 ask of them."""

from __future__ import annotations

import numpy as np
import torch

from spectral_edge.grokking import TrainingConfig
from spectral_edge.modes import FunctionalModes, discrepancy, functional_modes
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.modes.quantities import quantities_of
from spectral_edge.replication.modes.rows import StepRows
from spectral_edge.replication.modes.selection import lines_for
from spectral_edge.replication.modes.step import StepComparison
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.store import Checkpoint, ClaimRow
from spectral_edge.subjects.profiles import NOT_GROKKING
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["MODES"]

_LEAST_WINDOW = 6  # of a phase that comes before the first full window


def _applies(training: TrainingConfig) -> bool:
    # Runs that are not to generalise are controls of the claims about training, not of these.
    alone = len(training.operations) == 1 and not training.nonzero
    return alone and training.weight_decay > 0 and training.operation not in NOT_GROKKING


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    rows: list[ClaimRow] = []
    analysed: list[AnalysedStep] = []
    errors: dict[str, list[float]] = {}
    for here in _steps(run, config, say):
        say(f"null of {config.random_directions} directions at {here.checkpoint}, step {here.step}")
        step = StepComparison.at(here)
        measured = StepRows(step, _other_phase(step) if config.phases == "all" else None)
        rows += [measured.row(line) for line in step.lines]
        errors[here.checkpoint] = _finite_difference_error(step, measured.modes)
        analysed.append(here)
    rows.sort(key=lambda row: int(row.claim[1:]))
    return Findings(
        rows,
        analysed_steps={here.checkpoint: here.step for here in analysed},
        edge_position={here.checkpoint: here.edge.position for here in analysed},
        finite_difference_error=errors,
    )


MODES = Study("modes", 7, ("C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"), _applies, _measure, brief=True)


def _steps(run: TrainedRun, config: AnalysisConfig, say: Say) -> list[AnalysedStep]:
    """The checkpoints that lines ask for; a run that does not generalise is analysed where it ended."""
    lines = lines_for(run.task.name, run.training.p, config.phases)
    names: list[Checkpoint] = sorted(
        {line.checkpoint for line in lines if line.n_directions <= config.directions} | {"stop"}
    )
    steps = {name: run.step_of(name, config.window) for name in names}
    if steps["stop"] is None:
        steps["final"] = run.step_of("final")
    found = []
    for name, step in steps.items():
        if step is None:
            continue
        window = config.window
        if name not in ("stop", "final") and step < window * config.stride:
            window = step // config.stride
            if config.phases == "published" or window < _LEAST_WINDOW:
                say(f"{name} at step {step} comes before the first full window: left out")
                continue
        found.append(AnalysedStep(run, config.model_copy(update={"window": window}), name, step))
    return found


def _other_phase(step: StepComparison) -> dict[str, np.ndarray] | None:
    """Statistics of edge directions of the windows before and after this one, disjoint from it; ``None`` if none."""
    run, config, at = step.here.run, step.here.config, step.here.step
    snapshots = [s for s in run.run.snapshot_steps() if s % config.stride == 0]
    before = [s for s in snapshots if s <= at - config.window * config.stride]
    after = [s for s in snapshots if s >= at]
    found = []
    for steps in (before[-config.window - 1 :], after[: config.window + 1]):
        if len(steps) > _LEAST_WINDOW:
            edge = run.edge(steps[-1], len(steps) - 1, config.stride, config.centered)
            found.append(edge.directions(min(config.directions, edge.identifiable, len(steps) - 2)))
    singles = [quantity for quantity in quantities_of(step.lines) if quantity.mixture is None]
    return step.evaluate(torch.cat(found), singles) if found and singles else None


def _finite_difference_error(step: StepComparison, exact: FunctionalModes) -> list[float]:
    """Relative distance of the finite difference from the exact derivative, of v_1 … v_k."""
    run = step.here.run
    model, parameters = run.model_at(step.here.step)
    approximate = functional_modes(
        model,
        step.rows[: step.k],
        run.task.pairs,
        parameters=parameters,
        method="finite_difference",
        relative_epsilon=step.here.config.relative_epsilon,
    )
    return discrepancy(exact, approximate).tolist()
