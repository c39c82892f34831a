"""What a request may ask for: every parameter has a type and bounds, so that a bad one is refused by name."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query

from spectral_edge.bases import CoordinateSystem
from spectral_edge.serve.explorer import DIRECTIONS, RANDOM, Function
from spectral_edge.serve.film import Film
from spectral_edge.serve.spectra import SpectrumChoice

__all__ = [
    "Basis",
    "Choice",
    "Coordinates",
    "FilmChoice",
    "FunctionChoice",
    "Inputs",
    "RandomNumber",
    "RunName",
    "RunNames",
    "Step",
    "Weights",
]

_MOST_COMPARED = 12
_MOST_STEPS = 10**9

RunName = Annotated[str, Query(min_length=1, max_length=500)]
RunNames = Annotated[list[str], Query(alias="run", max_length=_MOST_COMPARED)]
Step = Annotated[int, Query(ge=0, le=_MOST_STEPS)]
Basis = Annotated[str, Query(max_length=100)]
Coordinates = Annotated[CoordinateSystem, Query()]
Inputs = Annotated[Literal["all", "test"], Query()]
RandomNumber = Annotated[int, Query(alias="random", ge=1, le=RANDOM)]


def _choice(
    window: Annotated[int, Query(ge=2, le=200)] = 20,
    stride: Annotated[int, Query(ge=1, le=1_000_000)] = 100,
    centered: bool = True,
) -> SpectrumChoice:
    return SpectrumChoice(window, stride, centered)


def _weights(
    weights: Annotated[str, Query(max_length=200, pattern=r"^-?[0-9.]+(,-?[0-9.]+)*$")] = "1",
) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in weights.split(","))
    if len(numbers) > DIRECTIONS:
        raise ValueError(f"weights: {len(numbers)} numbers; there are at most {DIRECTIONS} directions")
    return numbers


Choice = Annotated[SpectrumChoice, Depends(_choice)]
Weights = Annotated[tuple[float, ...], Depends(_weights)]


def _film(
    run: RunName, choice: Choice, k: Annotated[int, Query(ge=1, le=3)] = 1, coordinates: Coordinates = "additive"
) -> Film:
    return Film(run, choice, k, coordinates)


FilmChoice = Annotated[Film, Depends(_film)]


def _function(
    run: RunName, step: Step, choice: Choice, weights: Weights, random: RandomNumber | None = None
) -> Function:
    return Function(run, step, choice, weights, random)


FunctionChoice = Annotated[Function, Depends(_function)]
