"""C8: subtraction: a small family of modes, and no separation of edge and bulk."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, ClaimLine, alone, best, component, mean
from spectral_edge.replication.claims.question import F_MARGIN, Question

__all__ = ["LINES", "QUESTIONS", "STATEMENT"]

STATEMENT = "Subtraction: a small family of modes, no edge/bulk separation"

_PEAKS = {1: 16, 2: 6, 3: 32}
_F = "concentration"

LINES = (
    *(ClaimLine("C8", "sub", alone(i), _F, "difference", None, _PEAKS.get(i)) for i in EDGE + BULK),
    ClaimLine("C8", "sub", mean(EDGE), _F, "difference", 0.16),
    ClaimLine("C8", "sub", mean(BULK), _F, "difference", 0.16),
    ClaimLine("C8", "sub", best(EDGE), _F, "difference", 0.19),
    *(ClaimLine("C8", "sub", v, _F, "difference") for v in map(component, (1, 2, 3))),
    *(ClaimLine("C8", "sub", v, "variance_share", "difference") for v in (*map(alone, EDGE), *map(component, (1, 2)))),
    *(ClaimLine("C8", "sub", v, "share:difference", "additive", inputs="all") for v in map(alone, EDGE)),
)

QUESTIONS = (
    Question(
        claim="C8",
        task="sub",
        statistic="concentration",
        grouping="difference",
        margin=F_MARGIN,
        unit="F",
        published=0.16,
        published_inputs="test",
        published_direction="mean(v1..v3)",
        peaks=(16,),
    ),
)
