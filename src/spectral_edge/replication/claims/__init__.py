"""The claims, one file each: what is asked, of which number, against what; and the further numbers of directions."""

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
from spectral_edge.replication.claims.line import ClaimLine
from spectral_edge.replication.claims.question import Question

__all__ = ["LINES", "QUESTIONS", "STATEMENTS"]

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
LINES: tuple[ClaimLine, ...] = tuple(line for claim in _CLAIMS for line in getattr(claim, "LINES", ()))
"""Further numbers of directions."""
STATEMENTS = {f"C{number}": claim.STATEMENT for number, claim in enumerate(_CLAIMS, start=1)}
"""The claims for people, C1 … C14."""
QUESTIONS: tuple[Question, ...] = tuple(question for claim in _CLAIMS for question in getattr(claim, "QUESTIONS", ()))
"""What is asked of C1 … C12; C13 has no number that could refute it, and C14 is a summary."""
