"""C12: directions above the edge serve several tasks and the same inputs, those below do not."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = ["COHERENT_MORE", "QUESTIONS", "SHARED_MORE", "STATEMENT"]

STATEMENT = "Directions above the edge serve several tasks and the same inputs, those below do not"

SHARED_MORE, COHERENT_MORE = "mean(v1..v3)-mean(v4..v8)", "within(v1..v3)-within(v4..v8)"
"""The two contrasts of edge and bulk: of sharedness, and of co-usage."""

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
