"""C11: on a trunk shared with addition, x² + y² takes over addition's frequency."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = ["QUESTIONS", "STATEMENT"]

STATEMENT = "On a trunk shared with addition, the modes of x²+y² take over addition's frequency"

QUESTIONS = (
    Question(
        claim="C11",
        task="x2_y2",
        statistic="log_concentration_ratio",
        grouping="sum",
        inputs="all",
        direction="v1",
        exists="x2_y2 alone",
        specific=("isotropic", "mul+x2_y2"),
        margin=0.42,
        unit="log ratio",
        published=0.83,
        definition="script",
    ),
)
