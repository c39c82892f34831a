"""C9: x² + y²: no single basis makes the modes simple."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, ClaimLine, alone
from spectral_edge.replication.claims.question import F_MARGIN, Question

__all__ = ["BASES", "LINES", "QUESTIONS", "STATEMENT"]

STATEMENT = "x²+y²: no single basis makes the modes simple"

# The discrete log of the output is the radial Gaussian basis: dlog(a + ib) + dlog(a - ib) = dlog(a^2 + b^2).
BASES = ("sum", "discrete_log", "output:x2_y2", "gaussian_radial", "gaussian_angular")
_F = "concentration"

LINES = (
    # The paper prints a range, .10 to .15, for all bases and directions: its upper end is the claim.
    *(ClaimLine("C9", "x2_y2", v, _F, q, 0.15, upper_bound=True) for q in BASES for v in map(alone, EDGE)),
    *(
        ClaimLine("C9", "x2_y2", alone(i), "share:other", "gaussian", 0.97 if i == 1 else None, inputs="all")
        for i in EDGE
    ),
    *(ClaimLine("C9", "x2_y2", v, "variance_share", "output:x2_y2") for v in map(alone, EDGE)),
)

QUESTIONS = (
    Question(
        claim="C9",
        task="x2_y2",
        statistic="largest concentration of five bases",
        margin=F_MARGIN,
        unit="F",
        alternative="less",
        exists="above inputs by less than the margin",
        published=0.15,
        published_inputs="test",
    ),
)
