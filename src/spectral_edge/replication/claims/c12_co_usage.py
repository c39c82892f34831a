"""C12: directions above the edge serve several tasks and the same inputs, those below do not."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = ["QUESTIONS", "STATEMENT"]

STATEMENT = "Directions above the edge serve several tasks and the same inputs, those below do not"

QUESTIONS = (
    Question(
        claim="C12",
        task="add+mul+x2_y2",
        statistic="sharedness",
        inputs="test",
        direction="mean(v1..v3)-mean(v4..v8)",
        exists="label_permutation",
        specific=("isotropic",),
        margin=0.225,
        unit="sharedness",
        published=0.45,
    ),
)
