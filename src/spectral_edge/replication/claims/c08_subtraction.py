"""C8: subtraction: a small family of modes, and no separation of edge and bulk."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, Line, alone, best, component, mean
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.replication.claims.separation import EDGE_NAMES, edge_over_bulk

__all__ = ["LINES", "RULE"]

_PEAKS = {1: 16, 2: 6, 3: 32}
_F = "concentration"

LINES = (
    *(Line("C8", "sub", alone(i), _F, "difference", None, _PEAKS.get(i)) for i in EDGE + BULK),
    Line("C8", "sub", mean(EDGE), _F, "difference", 0.16),
    Line("C8", "sub", mean(BULK), _F, "difference", 0.16),
    Line("C8", "sub", best(EDGE), _F, "difference", 0.19),
    *(Line("C8", "sub", v, _F, "difference") for v in map(component, (1, 2, 3))),
    *(Line("C8", "sub", v, "variance_share", "difference") for v in (*map(alone, EDGE), *map(component, (1, 2)))),
    *(Line("C8", "sub", v, "share:difference", "additive", inputs="all") for v in map(alone, EDGE)),
)


def _no_separation(rows: Rows) -> tuple[bool | None, str]:
    ratio = edge_over_bulk(rows)
    if ratio is None:
        return None, "edge/bulk not measured"
    return 1 / 1.5 <= ratio <= 1.5, f"edge/bulk mean F {ratio:.2f} (published 1.0; within a factor 1.5 asked)"


RULE = ClaimRule(
    "C8",
    "Subtraction: a small family of modes, no edge/bulk separation",
    (_F,),
    checkpoint="stop",
    tasks=("sub",),
    directions=EDGE_NAMES,
    basis="difference",
    checks=(_no_separation,),
)
