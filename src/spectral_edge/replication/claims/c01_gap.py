"""C1: the eigengap g23 declines in runs that grok and in no others."""

from __future__ import annotations

from spectral_edge.replication.claims.question import Question

__all__ = [
    "FACTOR",
    "GAP_WINDOW",
    "GROKKED",
    "OTHER",
    "PUBLISHED_CONTROL_STRIDE",
    "QUESTIONS",
    "STATEMENT",
    "UNGROKKED",
]

STATEMENT = "The eigengap g23 declines in runs that grok and in no others"

GAP_WINDOW = 10
"""W of the published g23 analysis; everything else in the paper has 20."""
FACTOR = 2.0
"""From which a decline counts as one; the paper states none."""
PUBLISHED_CONTROL_STRIDE = 500
OTHER, UNGROKKED, GROKKED = "operations that never grok", "operations that grok, run that did not", "grokked"
"""What a run is called by its outcome."""

QUESTIONS = (
    Question(
        claim="C1",
        task="all",
        statistic="log_g23_decline",
        inputs="all",
        direction="run",
        exists="no weight decay",
        specific=("operations that never generalise", "update norm"),
        margin=0.69,
        unit="log ratio",
        published=3.69,
        definition="script",
    ),
)
