"""The claims, one file each: what is measured of single directions, what the paper prints, what would refute it."""

from __future__ import annotations

from spectral_edge.replication.claims import (
    c01_gap,
    c02_agreement,
    c03_heads,
    c04_shape,
    c05_features,
    c06_addition,
    c07_multiplication,
    c08_subtraction,
    c09_sum_of_squares,
    c10_cross_terms,
    c11_inherited,
    c12_co_usage,
    c13_mixtures,
    c14_summary,
)

__all__ = ["LINES", "RULES"]

_OF_DIRECTIONS = (
    c03_heads,
    c04_shape,
    c06_addition,
    c07_multiplication,
    c08_subtraction,
    c09_sum_of_squares,
    c13_mixtures,
    c14_summary,
)
_CLAIMS = (
    c01_gap,
    c02_agreement,
    c03_heads,
    c04_shape,
    c05_features,
    c06_addition,
    c07_multiplication,
    c08_subtraction,
    c09_sum_of_squares,
    c10_cross_terms,
    c11_inherited,
    c12_co_usage,
    c13_mixtures,
    c14_summary,
)
LINES = tuple(line for claim in _OF_DIRECTIONS for line in claim.LINES)
RULES = tuple(claim.RULE for claim in _CLAIMS)
