"""C7: multiplication: one Fourier mode after a discrete logarithm; addition has none there."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, ClaimLine, alone, component
from spectral_edge.replication.claims.question import F_MARGIN, Question

__all__ = ["LINES", "QUESTIONS", "STATEMENT"]

STATEMENT = "Multiplication: one Fourier mode after a discrete log"

_F = "concentration"

LINES = (
    ClaimLine("C7", "mul", alone(1), _F, "output:mul", 0.054),
    *(ClaimLine("C7", "mul", v, _F, "output:mul", 0.11, upper_bound=True) for v in map(alone, (2, 3))),
    *(ClaimLine("C7", "mul", alone(i), _F, "discrete_log", 0.32 if i == 1 else None, 29) for i in EDGE),
    *(ClaimLine("C7", "mul", v, _F, "discrete_log") for v in map(alone, BULK)),
    *(ClaimLine("C7", "mul", v, _F, "discrete_log", inputs="test_off_diagonal") for v in map(alone, EDGE)),
    *(ClaimLine("C7", "mul", v, _F, "discrete_log") for v in map(component, (1, 2, 3))),
    *(ClaimLine("C7", "mul", v, _F, "discrete_log_difference") for v in map(alone, EDGE)),
    *(
        ClaimLine("C7", "mul", v, "variance_share", "discrete_log")
        for v in (*map(alone, EDGE), *map(component, (1, 2)))
    ),
    *(ClaimLine("C7", "mul", v, "share:sum", "discrete_log", inputs="all") for v in map(alone, EDGE)),
    *(ClaimLine("C7", "add", v, _F, q) for q in ("sum", "discrete_log") for v in map(alone, EDGE)),
)

QUESTIONS = (
    Question(
        claim="C7",
        task="mul",
        statistic="concentration",
        grouping="discrete_log",
        margin=F_MARGIN,
        unit="F",
        published=0.32,
        published_inputs="test",
        peaks=(29,),
    ),
)
