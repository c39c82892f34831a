"""C10: cross-terms of additive and multiplicative features explain the responses of x² + y²."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.replication.claims.separation import EDGE_NAMES
from spectral_edge.store import ClaimRow

__all__ = ["RULE"]


def _of_x2_y2(rows: Rows, statistic: str) -> list[ClaimRow]:
    return [
        r for r in rows if (r.claim, r.task, r.statistic) == ("C10", "x2_y2", statistic) and r.direction in EDGE_NAMES
    ]


def _beyond_random_features(rows: Rows) -> tuple[None, str]:
    found, noise = _of_x2_y2(rows, "cross_gain"), _of_x2_y2(rows, "noise_gain")
    nulls = [null for row in found for null in row.further_nulls if null.kind == "random_features"]
    if not nulls or not noise:
        return None, "random features not measured"
    beaten = sum(null.pvalue < 0.05 for null in nulls)
    return None, (
        f"in sample the products add {_mean(found):.3f} to R², those of permuted residues "
        f"{np.mean([null.mean for null in nulls]):.3f} (beaten for {beaten} of {len(nulls)} directions), as many "
        f"columns of noise {_mean(noise):.3f}"
    )


def _held_out(rows: Rows) -> tuple[None, str]:
    found = [row for row in _of_x2_y2(rows, "r2_cv") if row.grouping == "features:cross"]
    if not found:
        return None, "held-out R² not measured"
    return None, f"R² with cross-terms is {_mean(found):.2f} on held-out folds"


def _mean(rows: Rows) -> float:
    return float(np.mean([row.measured for row in rows]))


def _held_out_gain(rows: Rows) -> tuple[bool | None, str]:
    found = _of_x2_y2(rows, "cross_gain_cv")
    if not found:
        return None, "held-out gain not measured"
    return _mean(found) > 0, f"on held-out folds the products change R² by {_mean(found):+.3f} (above 0 asked)"


RULE = ClaimRule(
    "C10",
    "Cross-terms of additive and multiplicative features explain the responses of x²+y²",
    ("cross_gain_cv",),
    tasks=("x2_y2",),
    directions=("v1", "v2", "v3"),
    checkpoint="stop",
    decided_by="random_features",
    checks=(_beyond_random_features, _held_out),
    conditions=(_held_out_gain,),
)
