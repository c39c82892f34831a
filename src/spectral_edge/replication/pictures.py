"""Spectra and maps of functional modes at the stop, beside those of random directions: what figures are drawn from."""

from __future__ import annotations

import numpy as np

from spectral_edge.bases import CoordinateSystem, character_spectrum, grouping, to_grid
from spectral_edge.comparison import iterate_random_directions
from spectral_edge.grokking import ModularTask, TrainingConfig
from spectral_edge.modes import functional_modes
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.modes.selection import lines_for
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.statistics import fourier_profile
from spectral_edge.subjects.profiles import NOT_GROKKING
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["PICTURES"]

_DRAWN = 3  # directions whose maps are kept
_DIRECTIONS = 8
_MOST_RANDOM = 60


def _applies(training: TrainingConfig) -> bool:
    alone = len(training.operations) == 1 and not training.nonzero
    return alone and training.weight_decay > 0 and training.operation not in NOT_GROKKING


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    here, task = AnalysedStep.at_stop(run, config), run.task
    n = min(config.random_directions, _MOST_RANDOM)
    say(f"modes of {n} random directions at {here.checkpoint}, step {here.step}")
    model, parameters = run.model_at(here.step)
    edge = here.edge
    tested = edge.directions(min(_DIRECTIONS, edge.identifiable))
    energy = functional_modes(model, tested, task.pairs, parameters=parameters).energy
    blocks = iterate_random_directions(n, parameters, seed=config.seed)
    random = np.concatenate(
        [functional_modes(model, block, task.pairs, parameters=parameters).energy for block in blocks]
    )
    at = here.checkpoint
    found = {
        f"edge.{at}.singular_values": edge.singular_values,
        f"energy.{at}": to_grid(energy[:_DRAWN], task.pairs, task.p),
        f"energy_random.{at}": to_grid(random[:1], task.pairs, task.p),
    }
    test = run.split.test
    for basis in _bases_of(task):
        q, labels = grouping(basis, task.p), np.full(len(task.pairs), -1)
        labels[test] = q(task.pairs)[test]
        for name, values in (("power", energy), ("null", random)):
            power = fourier_profile(values, labels, q.order).power
            found[f"profile.{at}.{basis}.{name}"] = power / power.sum(1, keepdims=True)
    for coordinates in _coordinates_of(task):
        for name, values in (("character", energy[:_DRAWN]), ("character_random", random[:1])):
            spectrum = character_spectrum(to_grid(values, task.pairs, task.p, coordinates))
            found[f"{name}.{at}.{coordinates}"] = spectrum.power
    arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in found.items()}
    return Findings([], arrays, analysed_steps={at: here.step}, edge_position={at: edge.position})


PICTURES = Study("pictures", 1, (), _applies, _measure, brief=True)


def _bases_of(task: ModularTask) -> list[str]:
    spectra = ("concentration", "variance_share", "peakedness")
    wanted = [line.grouping for line in lines_for(task.name, task.p, "all") if line.statistic in spectra]
    return list(dict.fromkeys([*(basis for basis in wanted if basis), f"output:{task.name}"]))


def _coordinates_of(task: ModularTask) -> list[CoordinateSystem]:
    """Coordinates of the drawn 2-D spectra: those the claims ask for, and additive where the domain is full."""
    asked = {line.grouping for line in lines_for(task.name, task.p, "all") if line.statistic.startswith("share:")}
    if len(task.pairs) == task.p**2:
        asked.add("additive")
    known: tuple[CoordinateSystem, ...] = ("additive", "discrete_log", "gaussian")
    return [coordinates for coordinates in known if coordinates in asked]
