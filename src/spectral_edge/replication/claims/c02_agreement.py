"""C2: three spectra agree in time, and W_Q and W_K lose a degeneracy when a run groks."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.rule import ClaimRule, Rows

__all__ = ["RULE"]

# For "sigma_1 ≈ sigma_2" and "sigma_1 ≫ sigma_2", for which the paper has no numbers.
_NEARLY_EQUAL, _MUCH_LARGER = 1.25, 2.0


def _grokked(rows: Rows) -> set[tuple[str, float | None]]:
    return {(row.task, row.weight_decay) for row in rows if row.checkpoint == "stop"}


def _nearly_degenerate_before(rows: Rows) -> tuple[bool | None, str]:
    before = [r for r in rows if r.statistic == "weight_gap_ratio" and r.checkpoint == "memorisation"]
    before = [row for row in before if (row.task, row.weight_decay) in _grokked(rows)]
    if not before:
        return None, "weights before grokking not measured"
    mean = float(np.mean([row.measured for row in before]))
    null = before[0].null
    random = (
        "" if null is None else f"; a random matrix of this size has {null.mean:.2f}, 95 % below {null.quantile95:.2f}"
    )
    return mean <= _NEARLY_EQUAL, (
        f"σ1/σ2 of W_Q, W_K while memorising {mean:.2f} (at most {_NEARLY_EQUAL} asked for σ1 ≈ σ2{random})"
    )


def _split_after(rows: Rows) -> tuple[bool | None, str]:
    after = [r for r in rows if r.statistic == "weight_gap_ratio" and r.checkpoint == "stop"]
    if not after:
        return None, "weights after grokking not measured"
    mean = float(np.mean([row.measured for row in after]))
    contrasts = [r for r in rows if (r.statistic, r.grouping) == ("auc", "weight_gap_ratio:matched")]
    later = [r for r in rows if r.statistic == "weight_gap_ratio" and r.checkpoint == "final"]
    later = [row for row in later if (row.task, row.weight_decay) in _grokked(rows)]
    auc = float(np.mean([r.measured for r in contrasts])) if contrasts else None
    controls = "" if auc is None else f"; AUC against runs that did not grok, at equal steps, {auc:.2f}"
    end = f"; {np.mean([r.measured for r in later]):.2f} at the end of the run" if later else ""
    return mean >= _MUCH_LARGER, (
        f"after grokking {mean:.2f} (at least {_MUCH_LARGER:g} asked for σ1 ≫ σ2{controls}{end})"
    )


def _in_time(rows: Rows) -> tuple[None, str]:
    parts = []
    for statistic, what in (("rank_correlation", "levels"), ("rank_correlation:increments", "increments")):
        found = [row for row in rows if row.statistic == statistic and (row.task, row.weight_decay) in _grokked(rows)]
        nulls = [row.null for row in found if row.null is not None]
        if nulls:
            small = sum(null.pvalue < 0.05 for null in nulls)
            parts.append(f"{what} {small} of {len(nulls)}, mean |ρ| {np.mean([abs(r.measured) for r in found]):.2f}")
    if not parts:
        return None, "no agreement in time measured"
    return None, f"pairs beyond circular shifts at p < 0.05 in runs that grokked: {'; '.join(parts)}"


def _signs(rows: Rows) -> tuple[bool | None, str]:
    """Whether series of a run go together the way that the paper says, or only differ less than those of other runs."""
    found = [row for row in rows if row.statistic == "rank_correlation:same_run" and row.grouping is not None]
    if not found:
        return None, "agreement within runs not measured"
    right = sum((row.measured < 0) == str(row.grouping).startswith("g23") for row in found)
    values = ", ".join(f"{row.grouping} {row.measured:+.2f}" for row in found)
    return 2 * right > len(found), (
        f"mean rank correlation within runs: {values}; {right} of {len(found)} have the claimed sign (most asked)"
    )


RULE = ClaimRule(
    "C2",
    "Update spectrum, displacement PCA and weight SVD agree in time; W_Q and W_K lose a degeneracy when a run groks",
    ("rank_correlation:same_run",),
    checks=(_nearly_degenerate_before, _split_after, _in_time),
    conditions=(_signs,),
)
