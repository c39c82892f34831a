"""C3: the edge is not localised in attention heads."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, ClaimLine, alone
from spectral_edge.replication.claims.question import FOUR_TASKS, Question
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "QUESTIONS", "STATEMENT"]

STATEMENT = "The edge is not localised in attention heads"

LINES = tuple(ClaimLine("C3", task, v, "head_purity", published=0.14) for task in BASIS for v in map(alone, EDGE))

QUESTIONS = tuple(
    Question(
        claim="C3",
        task=task,
        statistic="head_purity",
        inputs="all",
        alternative="less",
        exists="below 0.25",
        specific=("isotropic", "span", "weights"),
        margin=0.0625,
        unit="share",
        published=0.14,
        published_direction="v1",
        definition="script",
    )
    for task in FOUR_TASKS
)
