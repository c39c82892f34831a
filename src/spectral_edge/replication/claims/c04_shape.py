"""C4: the response is not low-rank in activation space, yet peaked over inputs."""

from __future__ import annotations

from spectral_edge.replication.claims.line import EDGE, Line, alone, component
from spectral_edge.replication.claims.rule import ClaimRule, Rows, at_peak
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "RULE", "shape_lines"]

_PEAKED = (alone(1), component(1))


def shape_lines(task: str) -> list[Line]:
    """The shape of a response of any task, without published numbers."""
    lines = [Line("C4", task, v, "peakedness", BASIS[task]) for v in _PEAKED]
    return lines + [Line("C4", task, v, "effective_rank", inputs="all") for v in map(alone, EDGE)]


LINES = (
    Line("C4", "add", alone(1), "peakedness", "sum", 32.8, 25, checkpoint="transition"),
    Line("C4", "add", component(1), "peakedness", "sum", checkpoint="transition"),
    *(
        Line("C4", "add", v, "effective_rank", published=40, inputs="all", checkpoint=checkpoint)
        for checkpoint in ("transition", "stop")
        for v in map(alone, EDGE)
    ),
)


def _first_component(rows: Rows) -> tuple[None, str]:
    found = [row for row in rows if row.statistic == "peakedness" and row.direction == "v1:PC1" and row.task == "add"]
    found = [row for row in found if row.checkpoint == "transition" and row.null is not None]
    if not found:
        return None, "first component not measured"
    values = ", ".join(
        f"{row.measured:.1f}{at_peak(row)} (random {row.null.mean:.1f}, p {row.null.pvalue:.2g})"
        for row in found
        if row.null is not None
    )
    return None, (
        f"the first principal component of the same response has {values}: if the published 32.8 at ω 25 is its "
        "peakedness and not that of the power, compare these"
    )


RULE = ClaimRule(
    "C4",
    "The response of v1 is sharply peaked over the inputs although high-rank in activation space",
    ("peakedness",),
    tasks=("add",),
    directions=("v1",),
    checkpoint="transition",
    checks=(_first_component,),
)
