"""C5: features of a sparse autoencoder do not explain the edge."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.rule import ClaimRule, Rows

__all__ = ["CLAIM", "MEAN", "RULE"]

CLAIM = "C5"
MEAN = "mean(v1..v3)"
_LEAST_EXPLAINED = 0.9


def _mean_of(rows: Rows, statistic: str, grouping: str | None = None) -> float | None:
    found = [r.measured for r in rows if (r.statistic, r.grouping) == (statistic, grouping)]
    return float(np.mean(found)) if found else None


def _features_are_good(rows: Rows) -> tuple[bool | None, str]:
    explained = [r.measured for r in rows if (r.statistic, r.grouping) == ("explained_variance", "left out")]
    dead, accuracy = _mean_of(rows, "dead_features"), _mean_of(rows, "accuracy_spliced")
    if not explained or dead is None or accuracy is None:
        return None, "quality of the autoencoders not measured"
    return min(explained) >= _LEAST_EXPLAINED, (
        f"the autoencoders explain at least {min(explained):.0%} of the variance of inputs left out "
        f"({_LEAST_EXPLAINED:.0%} asked); {dead:.0%} of their features are dead; read from their reconstructions, the "
        f"models keep a held-out accuracy of {accuracy:.1%}"
    )


def _angles(rows: Rows) -> tuple[None, str]:
    weights, response = _mean_of(rows, "parameter_angle"), _mean_of(rows, "response_angle")
    if weights is None or response is None:
        return None, "angles not measured"
    return None, (
        f"edge directions are at {weights:.0f}° in the weights and their responses at {response:.0f}° (means), not at "
        "the 45° of the published null"
    )


def _beside_the_nulls(rows: Rows) -> tuple[None, str]:
    found = [r for r in rows if r.statistic == "jaccard" and r.direction == MEAN and r.null is not None]
    if not found:
        return None, "overlaps not measured"
    return None, "mean Jaccard " + "; ".join(
        f"{r.task} {r.measured:.2f} (random {r.null.mean:.2f}, "
        + ", ".join(f"{_WORDS[null.kind]} {null.mean:.2f} p {null.pvalue:.2g}" for null in r.further_nulls)
        + ")"
        for r in found
        if r.null is not None
    )


_WORDS = {
    "angle_matched": "at the responses' angles",
    "fixed_angle": "at 45°",
    "combinatorial": "random sets",
    "random_features": "untrained features",
}

RULE = ClaimRule(
    CLAIM,
    "Sparse-autoencoder features do not explain the edge: its directions share no more of them than random ones do",
    ("jaccard",),
    directions=(MEAN,),
    checkpoint="stop",
    absence=True,
    checks=(_features_are_good, _angles, _beside_the_nulls),
)
