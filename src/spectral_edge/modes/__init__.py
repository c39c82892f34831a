"""What a parameter direction does to the function: responses and functional modes."""

from spectral_edge.modes.response import (
    FunctionalModes,
    discrepancy,
    functional_modes,
    iterate_responses,
    mode_energy,
)

__all__ = ["FunctionalModes", "discrepancy", "functional_modes", "iterate_responses", "mode_energy"]
