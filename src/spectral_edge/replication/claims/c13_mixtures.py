"""C13: the spectrum of a mixture of directions is the union of their peaks."""

from __future__ import annotations

from spectral_edge.replication.claims.line import ClaimLine, mixture
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "MIXTURES", "STATEMENT"]

STATEMENT = "The spectrum of a mixture is the union of its components' peaks"

MIXTURES = (mixture(1, 2), mixture(1, 3), mixture(2, 3), mixture(1, 2, 3))

LINES = tuple(
    ClaimLine("C13", task, direction, statistic, basis)
    for task, basis in BASIS.items()
    for direction in MIXTURES
    for statistic in ("concentration", "jaccard")
)
