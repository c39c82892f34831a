"""Functional modes of one trained run: edge, responses, nulls, and every number that C3 … C14 ask of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spectral_edge.bases import CoordinateSystem, grouping, to_grid
from spectral_edge.grokking import ModularTask, ModularTransformer, TrainingConfig
from spectral_edge.modes import discrepancy, functional_modes
from spectral_edge.parameters import ParameterSubset
from spectral_edge.spectrum import spectral_edge, stacked_updates
from spectral_edge.store import Checkpoint, ClaimRow
from spectral_edge.studies.measurement import cross_term_probe, measure, measured_at_random
from spectral_edge.studies.modes.evidence import Evidence
from spectral_edge.studies.modes.published import Measurement, measurements_for
from spectral_edge.studies.study import AnalysisConfig, Findings, Say, Study, is_published_protocol
from spectral_edge.subjects.profiles import NOT_GROKKING
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["MODES", "has_basis"]

_DRAWN = 3  # directions whose maps are kept for the figures
_LEAST_WINDOW = 6  # of a phase that comes before the first full window


def _applies(training: TrainingConfig) -> bool:
    # Runs that are not to generalise are controls of the claims about training, not of these.
    alone = len(training.operations) == 1 and not training.nonzero
    return alone and training.weight_decay > 0 and training.operation not in NOT_GROKKING


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    wanted = [
        m
        for m in measurements_for(run.task.name, config.phases)
        if has_basis(m, run.training.p) and m.n_directions <= config.directions
    ]
    names: list[Checkpoint] = sorted({m.checkpoint for m in wanted} | {"stop"})
    steps = {name: run.step_of(name, config.window) for name in names}
    if steps["stop"] is None:  # a run that does not generalise is analysed where it ended
        steps["final"] = run.step_of("final")
    rows: list[ClaimRow] = []
    arrays: dict[str, np.ndarray] = {}
    analysed: list[_CheckpointAnalysis] = []
    for name, step in steps.items():
        if step is None:
            continue
        window = config.window
        if name not in ("stop", "final") and step < window * config.stride:
            window = step // config.stride
            if config.phases == "published" or window < _LEAST_WINDOW:
                say(f"{name} at step {step} comes before the first full window: left out")
                continue
        say(f"null of {config.random_directions} directions at {name}, step {step}")
        here = _CheckpointAnalysis(run, config.model_copy(update={"window": window}), name, step)
        analysed.append(here)
        rows += [
            here.row(m)
            for m in wanted
            if m.checkpoint == ("stop" if name == "final" else name) and m.n_directions <= here.directions
        ]
        arrays |= here.arrays()
    rows.sort(key=lambda row: int(row.claim[1:]))
    return Findings(
        rows,
        arrays,
        analysed_steps={a.name: a.step for a in analysed},
        edge_position={a.name: a.edge.position for a in analysed},
        finite_difference_error={a.name: a.discrepancy.tolist() for a in analysed},
    )


MODES = Study("modes", 5, ("C3", "C4", "C6", "C7", "C8", "C9", "C13", "C14"), _applies, _measure, brief=True)


def has_basis(measurement: Measurement, p: int) -> bool:
    """Whether a basis exists for this modulus: discrete logs need a prime, the Gaussian ones also p = 1 mod 4."""
    bases = {"cross_terms": "discrete_log", "gaussian": "gaussian_radial", "additive": "sum", None: "sum"}
    try:
        grouping(bases.get(measurement.grouping, measurement.grouping or "sum"), p)
    except ValueError:
        return False
    return True


class _CheckpointAnalysis:
    """The edge at one step of a run, measured beside its nulls."""

    def __init__(self, run: TrainedRun, config: AnalysisConfig, name: Checkpoint, step: int) -> None:
        self._run, self._config, self._task = run, config, run.task
        self.name, self.step = name, step
        task, training = run.task, run.training
        model, parameters = run.model_at(step)
        self.edge = run.edge_at(step, config.window, config.stride, config.centered)
        directions = self.edge.directions(min(config.directions, self.edge.rank))
        self.directions = len(directions)
        self.discrepancy = _finite_difference_error(model, directions, task, parameters, config)
        test = task.split(training.frac_train, training.seed).test
        probe = cross_term_probe(run)
        self.evidence = Evidence(
            task,
            test,
            measure(model, directions, run.tasks, parameters, probe),
            measured_at_random(run, config, step),
            config.permutations,
            config.seed,
        )
        others = _other_phase(run, config, step) if config.phases == "all" else None
        self._other_phase = (
            None
            if others is None
            else replace(self.evidence, random=measure(model, others, run.tasks, parameters, probe))
        )

    def row(self, wanted: Measurement) -> ClaimRow:
        """One line of claims.json."""
        value = self.evidence.value(wanted)
        config, training = self._config, self._run.training
        other_phase = self._other_phase.direction_null(wanted, "other_phase") if self._other_phase else None
        as_published = is_published_protocol(training, config) and wanted.checkpoint == self.name
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
            further_nulls=[] if other_phase is None else [other_phase],
            peak_null=value.peak_null,
            permutation_peak_null=value.permutation_peak_null,
            run_id=self._run.config.run_id,
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


def _on_square(task: ModularTask) -> tuple[np.ndarray, int]:
    return task.pairs, task.p


def _bases_of(task: ModularTask) -> list[str]:
    spectra = ("concentration", "variance_share", "peakedness")
    wanted = [m.grouping for m in measurements_for(task.name, "all") if m.statistic in spectra and has_basis(m, task.p)]
    return list(dict.fromkeys([*(q for q in wanted if q), f"output:{task.name}"]))


def _coordinates_of(task: ModularTask) -> list[CoordinateSystem]:
    """Coordinates of the drawn 2-D spectra: those the claims ask for, and additive where the domain is full."""
    asked = {
        m.grouping
        for m in measurements_for(task.name, "all")
        if m.statistic.startswith("share:") and has_basis(m, task.p)
    }
    if len(task.pairs) == task.p**2:
        asked.add("additive")
    known: tuple[CoordinateSystem, ...] = ("additive", "discrete_log", "gaussian")
    return [coordinates for coordinates in known if coordinates in asked]


def _other_phase(run: TrainedRun, config: AnalysisConfig, step: int) -> Tensor | None:
    """Edge directions of the windows before and after the one that ends at ``step``, disjoint from it, as unit rows."""
    snapshots = [s for s in run.run.snapshot_steps() if s % config.stride == 0]
    before = [s for s in snapshots if s <= step - config.window * config.stride]
    after = [s for s in snapshots if s >= step]
    found = []
    for steps in (before[-config.window - 1 :], after[: config.window + 1]):
        if len(steps) > _LEAST_WINDOW:
            updates = stacked_updates([run.weights_at(s) for s in steps], len(steps) - 1)
            edge = spectral_edge(updates, center=config.centered)
            found.append(edge.directions(min(config.directions, edge.rank, len(steps) - 2)))
    return torch.cat(found) if found else None


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
