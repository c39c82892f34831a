"""C2: three spectra agree in time, and W_Q and W_K lose a degeneracy when a run groks."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = ["QUESTIONS", "STATEMENT"]

STATEMENT = (
    "Update spectrum, displacement PCA and weight SVD agree in time; W_Q and W_K lose a degeneracy when a run groks"
)

QUESTIONS = (
    Question(
        claim="C2",
        task="all",
        statistic="signed_rank_correlation",
        inputs="all",
        direction="run",
        exists="circular shifts",
        specific=("other runs",),
        margin=0.1,
        unit="ρ",
        definition="ours",
    ),
)
