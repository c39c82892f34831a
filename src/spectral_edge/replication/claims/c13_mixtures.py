"""C13: the spectrum of a mixture of directions is the union of their peaks."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.line import Line, mixture
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.subjects import BASIS

__all__ = ["LINES", "MIXTURES", "RULE"]

MIXTURES = (mixture(1, 2), mixture(1, 3), mixture(2, 3), mixture(1, 2, 3))

LINES = tuple(
    Line("C13", task, direction, statistic, basis)
    for task, basis in BASIS.items()
    for direction in MIXTURES
    for statistic in ("concentration", "jaccard")
)


def _union_of_peaks(rows: Rows) -> tuple[None, str]:
    overlaps = [r.measured for r in rows if r.statistic == "jaccard"]
    if not overlaps:
        return None, "overlaps not measured"
    return None, f"a mixture's top three overlap those of its components by a Jaccard of {np.mean(overlaps):.2f} (mean)"


RULE = ClaimRule(
    "C13",
    "The spectrum of a mixture is the union of its components' peaks",
    ("jaccard",),
    checkpoint="stop",
    checks=(_union_of_peaks,),
)
