"""Bases to read a function of (a, b) in: operations, residues, groupings and 2-D characters.

Takes arrays and returns arrays; knows nothing of models.
"""

from spectral_edge.bases.characters import CharacterSpectrum, character_spectrum, to_grid
from spectral_edge.bases.coordinates import (
    CoordinateSystem,
    check_pairs,
    coordinate_order,
    pair_coordinates,
)
from spectral_edge.bases.groupings import Grouping, grouping, grouping_names
from spectral_edge.bases.operations import Operation, operation, operation_names, register_operation
from spectral_edge.bases.residues import (
    check_modulus,
    check_prime,
    discrete_log_table,
    inverse_table,
    primitive_root,
    sqrt_minus_one,
)

__all__ = [  # noqa: RUF022 - a table of contents, in the order of reading
    # the operations a task asks for
    "Operation",
    "operation",
    "operation_names",
    "register_operation",
    # residues mod p
    "check_modulus",
    "check_prime",
    "primitive_root",
    "discrete_log_table",
    "inverse_table",
    "sqrt_minus_one",
    # coordinates of a pair
    "CoordinateSystem",
    "check_pairs",
    "coordinate_order",
    "pair_coordinates",
    # groupings: pairs -> Z_M
    "Grouping",
    "grouping",
    "grouping_names",
    # characters of Z_M x Z_M
    "CharacterSpectrum",
    "character_spectrum",
    "to_grid",
]
