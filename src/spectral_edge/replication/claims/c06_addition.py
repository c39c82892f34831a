"""C6: addition: edge directions induce one Fourier mode."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, ClaimLine, alone, component, mean
from spectral_edge.replication.claims.question import F_MARGIN, Question

__all__ = ["LINES", "QUESTIONS", "STATEMENT"]

STATEMENT = "Addition: edge directions induce one Fourier mode"

_PUBLISHED = {1: (0.33, 26), 2: (0.16, 26), 3: (0.40, 25), 4: (0.18, 8), 5: (0.12, 26)}
_F = "concentration"

LINES = (
    *(ClaimLine("C6", "add", alone(i), _F, "sum", *_PUBLISHED.get(i, (None, None))) for i in EDGE + BULK),
    ClaimLine("C6", "add", component(1), _F, "sum", 0.67, 26),
    *(ClaimLine("C6", "add", v, _F, "sum") for v in map(component, (2, 3))),
    ClaimLine("C6", "add", mean(EDGE), _F, "sum", 0.29),
    ClaimLine("C6", "add", mean(BULK), _F, "sum", 0.18),
    *(ClaimLine("C6", "add", v, "variance_share", "sum") for v in map(alone, EDGE)),
    *(ClaimLine("C6", "add", alone(i), "share:sum", "additive", None, 26 if i == 1 else None, "all") for i in EDGE),
    *(ClaimLine("C6", "add", v, "share:difference", "additive", inputs="all") for v in map(alone, EDGE)),
    *(
        ClaimLine("C6", "add", v, line, "additive", inputs="all_diagonal_averaged")
        for line in ("share:sum", "share:difference")
        for v in map(alone, EDGE)
    ),
    *(ClaimLine("C6", "add", v, "variance_share", "sum") for v in map(component, (1, 2))),
)

QUESTIONS = (
    Question(
        claim="C6",
        task="add",
        statistic="concentration",
        grouping="sum",
        margin=F_MARGIN,
        unit="F",
        published=0.33,
        published_inputs="test",
        peaks=(25, 26),
    ),
)
