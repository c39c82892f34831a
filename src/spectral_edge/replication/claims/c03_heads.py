"""C3: the edge is not localised in attention heads."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.line import EDGE, Line, alone
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "RULE"]

LINES = tuple(Line("C3", task, v, "head_purity", published=0.14) for task in BASIS for v in map(alone, EDGE))


def _how_localised(rows: Rows) -> tuple[None, str]:
    found = [row for row in rows if row.statistic == "head_purity" and row.checkpoint == "stop"]
    if not found:
        return None, "head purity not measured"
    largest = max(found, key=lambda row: row.measured)
    others = [null.mean for row in found for null in row.further_nulls if null.kind == "other_phase"]
    beside = f", edges of other phases {np.mean(others):.3f}" if others else ""
    return None, (
        f"mean purity {np.mean([row.measured for row in found]):.3f}, largest {largest.measured:.3f} ({largest.task} "
        f"{largest.direction}); one head has 1, two .5, all eight .125{beside}"
    )


RULE = ClaimRule(
    "C3",
    "The edge is not localised in attention heads",
    ("head_purity",),
    checkpoint="stop",
    absence=True,
    checks=(_how_localised,),
)
