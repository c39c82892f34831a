"""What a parameter direction does to the function: responses and functional modes."""

from spectral_edge.modes.derivative import reader
from spectral_edge.modes.difference_quotient import moved
from spectral_edge.modes.finishing import finish
from spectral_edge.modes.inputs import Forward, Inputs, as_rows, default_forward, input_batches, input_count
from spectral_edge.modes.left_as_found import left_as_found
from spectral_edge.modes.responder import (
    DIRECTIONS_AT_ONCE,
    INPUTS_AT_ONCE,
    Method,
    Responder,
    all_finite,
    check_own,
    in_threads,
    responder_of,
)
from spectral_edge.modes.response import (
    FunctionalModes,
    discrepancy,
    functional_modes,
    iterate_responses,
    map_responses,
    mode_energy,
)

__all__ = [
    "DIRECTIONS_AT_ONCE",
    "INPUTS_AT_ONCE",
    "Forward",
    "FunctionalModes",
    "Inputs",
    "Method",
    "Responder",
    "all_finite",
    "as_rows",
    "check_own",
    "default_forward",
    "discrepancy",
    "finish",
    "functional_modes",
    "in_threads",
    "input_batches",
    "input_count",
    "iterate_responses",
    "left_as_found",
    "map_responses",
    "mode_energy",
    "moved",
    "reader",
    "responder_of",
]
