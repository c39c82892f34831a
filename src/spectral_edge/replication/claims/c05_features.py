"""C5: features of a sparse autoencoder do not explain the edge.

The paper's claim is an absence. Asked is its opposite, whether directions of the edge move the same features more than
random ones do: "no" speaks for the paper.
"""

from __future__ import annotations

from spectral_edge.replication.claims.question import FOUR_TASKS, Question

__all__ = ["CLAIM", "MEAN", "PUBLISHED", "QUESTIONS", "STATEMENT"]

STATEMENT = (
    "Edge directions share more features of a sparse autoencoder than random directions (the paper says they do not)"
)

CLAIM = "C5"
MEAN = "mean(v1..v3)"

PUBLISHED = {"add": 0.25, "sub": 0.60}
"""Overlaps of features that the paper prints."""

QUESTIONS = tuple(
    Question(
        claim=CLAIM,
        task=task,
        statistic="jaccard",
        inputs="test",
        direction="pairs(v1..v3)",
        exists="random_features",
        specific=("isotropic", "span", "weights"),
        margin=0.05,
        unit="Jaccard",
        published=PUBLISHED.get(task),
        definition="ours",
    )
    for task in FOUR_TASKS
)
