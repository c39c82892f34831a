"""C10: cross-terms of additive and multiplicative features explain the responses of x² + y²."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = ["QUESTIONS", "STATEMENT"]

STATEMENT = "Cross-terms of additive and multiplicative features explain the responses of x²+y²"

QUESTIONS = (
    Question(
        claim="C10",
        task="x2_y2",
        statistic="cross_gain:held_out",
        inputs="test",
        direction="mean(v1..v3)",
        exists="random_features",
        margin=0.06,
        unit="R²",
        published=0.155,
        published_statistic="r2:cross",
        definition="ours",
    ),
)
