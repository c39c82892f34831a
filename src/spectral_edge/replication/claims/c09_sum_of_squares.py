"""C9: x² + y²: no single basis makes the modes simple."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, Line, alone
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.replication.claims.separation import EDGE_NAMES

__all__ = ["BASES", "LINES", "RULE"]

# The discrete log of the output is the radial Gaussian basis: dlog(a + ib) + dlog(a - ib) = dlog(a^2 + b^2).
BASES = ("sum", "discrete_log", "output:x2_y2", "gaussian_radial", "gaussian_angular")
_F = "concentration"

LINES = (
    # The paper prints a range, .10 to .15, for all bases and directions: its upper end is the claim.
    *(Line("C9", "x2_y2", v, _F, q, 0.15, upper_bound=True) for q in BASES for v in map(alone, EDGE)),
    *(Line("C9", "x2_y2", alone(i), "share:other", "gaussian", 0.97 if i == 1 else None, inputs="all") for i in EDGE),
    *(Line("C9", "x2_y2", v, "variance_share", "output:x2_y2") for v in map(alone, EDGE)),
)


def _no_basis(rows: Rows) -> tuple[bool | None, str]:
    measured = [r for r in rows if r.statistic == _F]
    if not measured:
        return None, "concentrations not measured"
    largest = max(measured, key=lambda r: r.measured)
    where = f"{largest.direction}, {largest.grouping}"
    return largest.measured <= 0.2, f"largest F {largest.measured:.2f} ({where}; at most .20 asked)"


RULE = ClaimRule(
    "C9",
    "x²+y²: no single basis makes the modes simple",
    (_F,),
    checkpoint="stop",
    tasks=("x2_y2",),
    directions=EDGE_NAMES,
    absence=True,
    checks=(_no_basis,),
)
