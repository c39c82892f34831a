"""The claims about functional modes, one file each: what is measured, what the paper prints, what would refute it."""

from __future__ import annotations

from spectral_edge.replication.claims import (
    c03_heads,
    c04_shape,
    c06_addition,
    c07_multiplication,
    c08_subtraction,
    c09_sum_of_squares,
    c13_mixtures,
    c14_summary,
)

__all__ = ["LINES", "RULES"]

_CLAIMS = (
    c03_heads,
    c04_shape,
    c06_addition,
    c07_multiplication,
    c08_subtraction,
    c09_sum_of_squares,
    c13_mixtures,
    c14_summary,
)
LINES = tuple(line for claim in _CLAIMS for line in claim.LINES)
RULES = tuple(claim.RULE for claim in _CLAIMS)
