"""C4: the response is not low-rank in activation space, yet peaked over inputs."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, ClaimLine, alone, component
from spectral_edge.replication.claims.question import Question
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "QUESTIONS", "STATEMENT", "shape_lines"]

STATEMENT = "The response of v1 is sharply peaked over the inputs although high-rank in activation space"

_PEAKED = (alone(1), component(1))


def shape_lines(task: str) -> list[ClaimLine]:
    """The shape of a response of any task, without published numbers."""
    lines = [ClaimLine("C4", task, v, "peakedness", BASIS[task]) for v in _PEAKED]
    return lines + [ClaimLine("C4", task, v, "effective_rank", inputs="all") for v in map(alone, EDGE)]


LINES = (
    ClaimLine("C4", "add", alone(1), "peakedness", "sum", 32.8, 25, checkpoint="transition"),
    ClaimLine("C4", "add", component(1), "peakedness", "sum", checkpoint="transition"),
    *(
        ClaimLine("C4", "add", v, "effective_rank", published=40, inputs="all", checkpoint=checkpoint)
        for checkpoint in ("transition", "stop")
        for v in map(alone, EDGE)
    ),
)

QUESTIONS = (
    Question(
        claim="C4",
        task="add",
        statistic="peakedness:script",
        grouping="sum",
        inputs="test",
        checkpoint="transition",
        direction="v1",
        margin=0.75,
        unit="null SD",
        published=32.8,
        peaks=(25, 26),
        definition="script",
    ),
)
