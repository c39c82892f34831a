"""Analyse one finished run: edge, functional modes, nulls, and every number the claims ask of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from spectral_edge.bases import CoordinateSystem, grouping, to_grid
from spectral_edge.grokking import ModularTask, ModularTransformer, TrainingConfig
from spectral_edge.modes import discrepancy, functional_modes
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.representation import RidgeProbe, cross_term_features
from spectral_edge.spectrum import SpectralEdge, UpdateWindow, spectral_edge, stacked_updates
from spectral_edge.statistics import random_directions
from spectral_edge.store import (
    Analysis,
    Checkpoint,
    ClaimRow,
    RunCorruptError,
    RunDirectory,
    RunSummary,
    read_analysis,
    write_analysis,
)
from spectral_edge.studies.checkpoints import checkpoint_step, grok_step, snapshots_before
from spectral_edge.studies.evidence import Evidence
from spectral_edge.studies.measurement import measure
from spectral_edge.studies.published import Measurement, measurements_for
from spectral_edge.studies.training_run import RunConfig, open_run

__all__ = ["AnalysisConfig", "analyze_run", "stored_analysis"]

# Raised when the numbers an analysis produces change their meaning: stored analyses of another version are redone.
_VERSION = 3
_DRAWN = 3  # directions whose maps are kept for the figures


class AnalysisConfig(BaseModel):
    """How updates are turned into an edge, and the edge is tested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(20, ge=4)
    """Updates in the window, W; the claims need three directions, and centring takes one."""
    stride: int = Field(100, ge=1)
    """Optimizer steps per update; a multiple of the snapshot spacing (published: 100)."""
    centered: bool = True
    """Subtract the window mean before the edge is found (the published functional analysis does)."""
    random_directions: int = Field(200, ge=20)
    """Random unit directions of the matched null."""
    permutations: int = Field(200, ge=20)
    """Permutations of the inputs of the second null."""
    relative_epsilon: float = Field(0.005, gt=0)
    """Step of the finite difference that the exact derivative is compared with."""
    seed: int = Field(0, ge=0)
    """Seed of both nulls."""

    @property
    def directions(self) -> int:
        """Edge directions to analyse: the eight that claims speak of, or as many as the window has."""
        return min(8, self.window - 1)

    @property
    def folder(self) -> str:
        """Name of the analysis inside its run directory."""
        text = f"{_VERSION}:{self.model_dump_json()}"
        return f"analysis-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def stored_analysis(path: Path, config: AnalysisConfig) -> Analysis | None:
    """The committed analysis of a run under ``config``, or ``None``; errors as :func:`read_analysis`."""
    return read_analysis(path / config.folder)


def analyze_run(path: Path, config: AnalysisConfig, on_stage: Callable[[str], None] | None = None) -> Analysis:
    """Analyse the run at ``path``, or read the analysis that is already there.

    Args:
        path: a run directory, finished or stopped; its last snapshots are used.
        config: the analysis.
        on_stage: called with a few words before each stage.

    Raises:
        StoreError: the run is missing or damaged.
        ValueError: the trajectory is too short for the window at the end of the run, or there are no evaluations.
    """
    run, run_config = open_run(path)
    metrics = _metrics(run)
    stored = stored_analysis(path, config)
    if stored is not None and stored.summary.steps == metrics[-1]["step"]:  # else the run went on since
        return stored
    torch.set_num_threads(run_config.threads)
    say = on_stage or (lambda stage: None)
    training = run_config.training
    task = ModularTask(training.operation, training.p)
    wanted = [
        m
        for m in measurements_for(training.operation)
        if _applies(m, training.p) and m.n_directions <= config.directions
    ]
    names: list[Checkpoint] = sorted({m.checkpoint for m in wanted} | {"stop"})
    steps = {name: checkpoint_step(metrics, name, config.window) for name in names}
    if steps["stop"] is None:  # a run that does not generalise is analysed where it ended
        steps["final"] = checkpoint_step(metrics, "final", config.window)
    rows: list[ClaimRow] = []
    arrays = _training_arrays(run, run_config, config)
    analysed: list[_CheckpointAnalysis] = []
    for name, step in steps.items():
        if step is None:
            continue
        if name not in ("stop", "final") and step < config.window * config.stride:
            say(f"{name} at step {step} comes before the first full window: left out")
            continue
        say(f"null of {config.random_directions} directions at {name}, step {step}")
        analysed.append(_CheckpointAnalysis(run, run_config, config, task, name, step))
        rows += [analysed[-1].row(m) for m in wanted if m.checkpoint == ("stop" if name == "final" else name)]
        arrays |= analysed[-1].arrays()
    summary = _summary(run_config, metrics, analysed)
    rows.sort(key=lambda row: int(row.claim[1:]))
    write_analysis(path / config.folder, rows, summary, arrays)
    analysis = stored_analysis(path, config)
    assert analysis is not None  # just committed
    return analysis


def _metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """The evaluations of a run, which must be those of its snapshots.

    Raises:
        ValueError: there are none yet.
        RunCorruptError: the run is finished and the last evaluations are missing.
    """
    metrics = run.metrics()
    if not metrics:
        raise ValueError(f"{run.path}: the run has no evaluations yet; let it train first")
    if run.status.get("state") == "finished" and metrics[-1]["step"] != run.snapshot_steps()[-1]:
        raise RunCorruptError(
            f"{run.path / 'metrics.jsonl'}: the last evaluation is of step {metrics[-1]['step']}, the last snapshot of "
            f"step {run.snapshot_steps()[-1]}; the file was altered. Move the run away and train it again."
        )
    return metrics


def _applies(measurement: Measurement, p: int) -> bool:
    """Whether a basis exists for this modulus: discrete logs need a prime, the Gaussian ones also p = 1 mod 4."""
    bases = {"cross_terms": "discrete_log", "gaussian": "gaussian_radial", "additive": "sum", None: "sum"}
    try:
        grouping(bases.get(measurement.grouping, measurement.grouping or "sum"), p)
    except ValueError:
        return False
    return True


def _summary(config: RunConfig, metrics: list[dict], analysed: list[_CheckpointAnalysis]) -> RunSummary:
    training = config.training
    return RunSummary(
        run_id=config.run_id,
        task=training.operation,
        seed=training.seed,
        weight_decay=training.weight_decay,
        steps=int(metrics[-1]["step"]),
        grok_step=grok_step(metrics, training.stop_accuracy, training.stop_patience),
        test_accuracy=metrics[-1]["test_accuracy"],
        analysed_steps={a.name: a.step for a in analysed},
        edge_position={a.name: a.edge.position for a in analysed},
        finite_difference_error={a.name: a.discrepancy.tolist() for a in analysed},
    )


class _CheckpointAnalysis:
    """The edge at one step of a run, measured beside its nulls."""

    def __init__(
        self,
        run: RunDirectory,
        run_config: RunConfig,
        config: AnalysisConfig,
        task: ModularTask,
        name: Checkpoint,
        step: int,
    ) -> None:
        self._run_config, self._config, self._task = run_config, config, task
        self.name, self.step = name, step
        training = run_config.training
        model, parameters = _model_at(run, training, step)
        self.edge = _edge_at(run, parameters, step, config)
        directions = self.edge.directions(config.directions)
        self.discrepancy = _finite_difference_error(model, directions, task, parameters, config)
        nulls = random_directions(config.random_directions, parameters.dim, config.seed)
        probe = _cross_term_probe(task)
        self.evidence = Evidence(
            task,
            task.split(training.frac_train, training.seed).test,
            measure(model, directions, task, parameters, probe),
            measure(model, nulls, task, parameters, probe),
            config.permutations,
            config.seed,
        )

    def row(self, wanted: Measurement) -> ClaimRow:
        """One line of claims.json."""
        value = self.evidence.value(wanted)
        config, training = self._config, self._run_config.training
        as_published = _is_published_protocol(training, config) and wanted.checkpoint == self.name
        return ClaimRow(
            claim=wanted.claim,
            task=training.operation,
            seed=training.seed,
            weight_decay=training.weight_decay,
            checkpoint=self.name,
            step=self.step,
            stride=config.stride,
            window=config.window,
            centered=config.centered,
            method=None if wanted.statistic == "head_purity" else "jvp",
            direction=wanted.direction,
            statistic=wanted.statistic,
            grouping=wanted.grouping,
            inputs=None if wanted.statistic == "head_purity" else wanted.inputs,
            measured=value.measured,
            peak=_peak(value.top),
            top=value.top,
            published=wanted.published if as_published else None,
            published_is_upper_bound=wanted.upper_bound if as_published and wanted.published else None,
            published_peak=wanted.peak if as_published else None,
            null=value.null,
            permutation_null=value.permutation_null,
            peak_null=value.peak_null,
            permutation_peak_null=value.permutation_peak_null,
            run_id=self._run_config.run_id,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What the figures are drawn from at this checkpoint."""
        c, evidence, task = self.name, self.evidence, self._task
        found = {
            f"edge.{c}.singular_values": self.edge.singular_values,
            f"energy.{c}": to_grid(evidence.edge.energy[:_DRAWN], *_on_square(task)),
            f"energy_random.{c}": to_grid(evidence.random.energy[:1], *_on_square(task)),
        }
        for basis in _bases_of(task):
            edge, random = evidence.profiles("energy", basis, "test")
            found[f"profile.{c}.{basis}.power"] = edge.power / edge.power.sum(1, keepdims=True)
            found[f"profile.{c}.{basis}.null"] = random.power / random.power.sum(1, keepdims=True)
        for coordinates in _coordinates_of(task):
            edge2d, random2d = evidence.character(coordinates, n_random=1)
            found[f"character.{c}.{coordinates}"] = edge2d.power
            found[f"character_random.{c}.{coordinates}"] = random2d.power
        return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in found.items()}


def _peak(top: list[int] | list[tuple[int, int]] | None) -> int | None:
    """The strongest frequency; of a line of the 2-D spectrum, w of its strongest character (w, ±w)."""
    if not top:
        return None
    return top[0] if isinstance(top[0], int) else top[0][0]


def _is_published_protocol(training: TrainingConfig, config: AnalysisConfig) -> bool:
    """Whether the paper's numbers speak of this run: its protocol, and its window, stride and centring.

    The printed concentrations are those of seed 42 (Figure 1); other seeds are measured without a published number.
    """
    analysis = AnalysisConfig()
    same_edge = (config.window, config.stride, config.centered) == (analysis.window, analysis.stride, analysis.centered)
    return same_edge and training == TrainingConfig(operation=training.operation)


def _on_square(task: ModularTask) -> tuple[np.ndarray, int]:
    return task.pairs, task.p


def _bases_of(task: ModularTask) -> list[str]:
    spectra = ("concentration", "variance_share", "peakedness")
    wanted = [m.grouping for m in measurements_for(task.name) if m.statistic in spectra and _applies(m, task.p)]
    return list(dict.fromkeys([*(q for q in wanted if q), f"output:{task.name}"]))


def _coordinates_of(task: ModularTask) -> list[CoordinateSystem]:
    """Coordinates of the drawn 2-D spectra: those the claims ask for, and additive where the domain is full."""
    asked = {
        m.grouping for m in measurements_for(task.name) if m.statistic.startswith("share:") and _applies(m, task.p)
    }
    if len(task.pairs) == task.p**2:
        asked.add("additive")
    known: tuple[CoordinateSystem, ...] = ("additive", "discrete_log", "gaussian")
    return [coordinates for coordinates in known if coordinates in asked]


def _model_at(run: RunDirectory, training: TrainingConfig, step: int) -> tuple[ModularTransformer, ParameterSubset]:
    model = ModularTransformer(
        training.p,
        (training.operation,),
        training.d_model,
        training.n_heads,
        training.n_layers,
        training.d_mlp,
    )
    try:
        model.load_state_dict(run.read_snapshot(step))
    except RuntimeError as problem:  # names or shapes that the configuration does not give
        raise RunCorruptError(
            f"{run.path}: the snapshot of step {step} does not fit its config.json: {problem}"
        ) from None
    return model, attention_weights(model)


def _edge_at(run: RunDirectory, parameters: ParameterSubset, step: int, config: AnalysisConfig) -> SpectralEdge:
    steps = snapshots_before(run, step, config.stride, config.window)
    vectors = [parameters.flatten(run.read_snapshot(s)) for s in steps]
    return spectral_edge(stacked_updates(vectors, config.window), center=config.centered)


def _finite_difference_error(
    model: ModularTransformer,
    directions: Tensor,
    task: ModularTask,
    parameters: ParameterSubset,
    config: AnalysisConfig,
) -> np.ndarray:
    exact = functional_modes(model, directions, task.pairs, parameters=parameters)
    approximate = functional_modes(
        model,
        directions,
        task.pairs,
        parameters=parameters,
        method="finite_difference",
        relative_epsilon=config.relative_epsilon,
    )
    return discrepancy(exact, approximate).numpy()


def _cross_term_probe(task: ModularTask) -> tuple[RidgeProbe, np.ndarray] | None:
    if not any(m.grouping == "cross_terms" and _applies(m, task.p) for m in measurements_for(task.name)):
        return None
    nonzero = (task.pairs != 0).all(axis=1)
    return RidgeProbe(cross_term_features(task.pairs[nonzero], task.p)), nonzero


def _training_arrays(run: RunDirectory, run_config: RunConfig, config: AnalysisConfig) -> dict[str, np.ndarray]:
    """Accuracy, loss and uncentred spectra over training, at both strides."""
    metrics = run.metrics()
    arrays = {
        f"metrics.{key}": np.array([line[key] for line in metrics])
        for key in ("step", "train_accuracy", "test_accuracy", "train_loss", "test_loss")
    }
    recorded = [line for line in metrics if line["singular_values"] is not None]
    arrays["spectrum.stride1.steps"] = np.array([line["step"] for line in recorded])
    arrays["spectrum.stride1.singular_values"] = np.array([line["singular_values"] for line in recorded])
    _, parameters = _model_at(run, run_config.training, 0)
    steps = [s for s in run.snapshot_steps() if s % config.stride == 0]
    edges = list(_rolling_edges((parameters.flatten(run.read_snapshot(s)) for s in steps), config.window))
    arrays[f"spectrum.stride{config.stride}.steps"] = np.array(steps[len(steps) - len(edges) :])
    arrays[f"spectrum.stride{config.stride}.singular_values"] = np.array([e.singular_values for e in edges])
    return arrays


def _rolling_edges(vectors: Iterable[Tensor], window: int) -> Iterable[SpectralEdge]:
    previous, rolling = None, None
    for vector in vectors:
        if previous is not None:
            rolling = rolling or UpdateWindow(window, len(vector))
            rolling.push(vector - previous)
            if rolling.full:
                yield rolling.edge(center=False)
        previous = vector
