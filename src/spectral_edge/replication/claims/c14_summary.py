"""C14: the summary of the paper: peak concentration of each operation in its own basis."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, ClaimLine, best
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "STATEMENT"]

STATEMENT = "Summary: peak concentration (x²+y²: R²) per task in its own basis"

_PUBLISHED = {"add": (0.40, 25), "mul": (0.32, 29), "sub": (0.19, None)}

LINES = (
    *(ClaimLine("C14", task, best(EDGE), "concentration", BASIS[task], *found) for task, found in _PUBLISHED.items()),
    ClaimLine("C14", "x2_y2", best(EDGE), "r2", "cross_terms", 0.16),
)
