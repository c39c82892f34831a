"""What a parameter direction does to the function: responses and functional modes."""

from spectral_edge.modes.response import (
    FunctionalModes,
    Method,
    discrepancy,
    functional_modes,
    iterate_responses,
    map_responses,
    mode_energy,
)

__all__ = [
    "FunctionalModes",
    "Method",
    "discrepancy",
    "functional_modes",
    "iterate_responses",
    "map_responses",
    "mode_energy",
]
