"""A function of two tokens, laid out for the eye: its grid, its spectra, the share of one character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_edge.bases import (
    CoordinateSystem,
    character_spectrum,
    coordinate_order,
    grouping,
    pair_coordinates,
    to_grid,
)
from spectral_edge.grokking import ModularTask
from spectral_edge.statistics import FourierProfile, fourier_profile

__all__ = ["Character", "Reading", "character_share", "frequency_share", "profile", "read_function"]

Floats = NDArray[np.float64]
Character = tuple[int, int]

_STRONGEST = 5


@dataclass(frozen=True)
class Reading:
    """What is shown of one function f(a, b).

    Attributes:
        grid: (M, M) f in the chosen coordinates, NaN where the task has no such pair.
        power: (M_q // 2,) share of power at each frequency of the grouping, 1 … M_q // 2; NaN where f is flat.
        concentration: F, the largest share.
        peak: its frequency, 0 where f is flat.
        variance_share: of f between the groups.
        characters: (M, M) share of the variance at each pair of frequencies mod M; ``None`` where the grid has holes.
        strongest: the strongest characters (omega_a, omega_b, share).
    """

    grid: Floats
    power: Floats
    concentration: float
    peak: int
    variance_share: float
    characters: Floats | None
    strongest: list[tuple[int, int, float]]


def read_function(
    values: Floats, task: ModularTask, basis: str, coordinates: CoordinateSystem, inputs: NDArray[np.int64] | None
) -> Reading:
    """Read f at all pairs of a task.

    Args:
        values: (N,) f at the task's pairs.
        task: gives the pairs.
        basis: name of the grouping of the 1-D spectrum.
        coordinates: of grid and 2-D spectrum.
        inputs: indices of the pairs that the 1-D spectrum is of; all if ``None``.

    Raises:
        ValueError: the basis or the coordinates do not exist for this modulus.
    """
    found = profile(values[None], task, basis, inputs)
    total = found.power[0].sum()
    grid = to_grid(values, task.pairs, task.p, coordinates)[0]
    spectrum = character_spectrum(grid) if np.isfinite(grid).all() else None
    return Reading(
        grid,
        found.power[0] / total if total > 0 else np.full(found.power.shape[1], np.nan),
        float(found.concentration[0]),
        int(found.peak[0]),
        float(found.variance_share[0]),
        None if spectrum is None else spectrum.power[0],
        [] if spectrum is None else spectrum.strongest(_STRONGEST)[0],
    )


def profile(values: Floats, task: ModularTask, basis: str, inputs: NDArray[np.int64] | None) -> FourierProfile:
    """1-D spectra of k functions (k, N) on the chosen inputs; errors as :func:`read_function`."""
    q = grouping(basis, task.p)
    chosen = slice(None) if inputs is None else inputs
    return fourier_profile(values[:, chosen], q(task.pairs[chosen]), q.order)


def frequency_share(
    values: Floats,
    task: ModularTask,
    basis: str,
    coordinates: CoordinateSystem,
    inputs: NDArray[np.int64] | None,
    frequency: int,
) -> Floats:
    """The part of f's group means that has one frequency, drawn on the grid of the coordinates, (M, M).

    c(q) = (2/M) Re[f̂(ω) e^{2πi ω q/M}], once for ω = M/2: adding all of them up, and the mean, gives the group means.

    Raises:
        ValueError: ω is outside 1 … M // 2, or as :func:`read_function`.
    """
    q = grouping(basis, task.p)
    if not 1 <= frequency <= q.order // 2:
        raise ValueError(f"frequency {frequency} is outside 1..{q.order // 2} of {basis} mod {q.order}")
    means = profile(values[None], task, basis, inputs).group_means[0]
    weight = 1 if 2 * frequency == q.order else 2
    phase = 2j * np.pi * frequency * np.arange(q.order) / q.order
    wave = weight / q.order * np.real((means @ np.exp(-phase)) * np.exp(phase))
    labels = q(task.pairs)
    place = pair_coordinates(task.pairs, task.p, coordinates)
    order = coordinate_order(task.p, coordinates)
    grid = np.full((order, order), np.nan)
    known = (labels >= 0) & (place[:, 0] >= 0)
    grid[tuple(place[known].T)] = wave[labels[known]]
    return grid


def character_share(values: Floats, task: ModularTask, coordinates: CoordinateSystem, character: Character) -> Floats:
    """The part of f with one pair of signed frequencies, and with its conjugate, since f is real, (M, M).

    Raises:
        ValueError: the grid has holes, or a frequency is outside -M/2 … M/2.
    """
    grid = to_grid(values, task.pairs, task.p, coordinates)[0]
    order = len(grid)
    if not np.isfinite(grid).all():
        raise ValueError(f"characters in {coordinates} coordinates need every cell; this task has none at some pairs")
    if any(not -order // 2 <= w <= order // 2 for w in character) or character == (0, 0):
        raise ValueError(f"character {character} is outside -{order // 2}..{order // 2}, or is the constant")
    transform = np.fft.fft2(grid)
    kept = np.zeros_like(transform)
    for sign in (1, -1):
        at = tuple(sign * w % order for w in character)
        kept[at] = transform[at]
    return np.fft.ifft2(kept).real
