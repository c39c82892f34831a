"""Numbers over seeds: one row for the rows that differ only in the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spectral_edge.statistics import combine_pvalues, mean_interval
from spectral_edge.store import ClaimRow, Interval, NullSummary, PeakNull

__all__ = ["combine_seeds", "identity"]

# What a seed changes in a row. All else is its identity.
_OF_THE_SEED = {
    "seed", "seeds", "run_id", "step", "measured", "interval", "peak", "top",
    "published", "published_is_upper_bound", "published_peak",
    "null", "permutation_null", "further_nulls", "peak_null", "permutation_peak_null",
}  # fmt: skip


def combine_seeds(rows: Sequence[ClaimRow]) -> list[ClaimRow]:
    """One row for every number that was measured with two seeds or more.

    ``measured`` is the mean over seeds with a t interval; p-values of the seeds' own nulls are combined by Fisher's
    method, which is exact for independent runs up to the lattice of Monte-Carlo p-values (there it is conservative).
    Published numbers stay with the seed they were published for. A peak is kept where all seeds agree on it.

    Raises:
        ValueError: two rows have the same identity and the same seed.
    """
    groups: dict[tuple[Any, ...], list[ClaimRow]] = {}
    for row in rows:
        if row.seed is not None:
            groups.setdefault(identity(row), []).append(row)
    return [_combined(group) for group in groups.values() if len(group) > 1]


def identity(row: ClaimRow) -> tuple[Any, ...]:
    """What says which quantity a row is; rows of other seeds have the same."""
    # Before the first full window the shape of responses (C4) is read from a shorter one, whose length is the seed's.
    ignored = _OF_THE_SEED | ({"window"} if row.claim == "C4" and row.checkpoint == "memorisation" else set())
    return tuple(getattr(row, name) for name in ClaimRow.model_fields if name not in ignored)


def _combined(group: list[ClaimRow]) -> ClaimRow:
    seeds = [row.seed for row in group if row.seed is not None]
    if len(set(seeds)) < len(seeds):
        row = group[0]
        raise ValueError(
            f"combine_seeds: {row.claim} {row.task} {row.direction} {row.statistic} {row.grouping} at {row.checkpoint} "
            f"is there twice for one seed ({sorted(seeds)}); rows of one identity must differ in the seed"
        )
    values = [row.measured for row in group]
    low, high = mean_interval(values)
    further = {null.kind for row in group for null in row.further_nulls}
    windows = {row.window for row in group}
    return group[0].model_copy(
        update=dict.fromkeys(_OF_THE_SEED - {"further_nulls"})
        | {
            "seeds": sorted(seeds),
            "window": group[0].window if len(windows) == 1 else None,
            "measured": float(np.mean(values)),
            "interval": Interval(low=low, high=high, n=len(group), method="t"),
            "peak": group[0].peak if len({row.peak for row in group}) == 1 else None,
            "null": _combined_null([row.null for row in group]),
            "permutation_null": _combined_null([row.permutation_null for row in group]),
            "further_nulls": [
                null
                for kind in sorted(further)
                if (null := _combined_null([_of_kind(row, kind) for row in group])) is not None
            ],
            "peak_null": _combined_peaks([row.peak_null for row in group]),
            "permutation_peak_null": _combined_peaks([row.permutation_peak_null for row in group]),
        }
    )


def _of_kind(row: ClaimRow, kind: str) -> NullSummary | None:
    return next((null for null in row.further_nulls if null.kind == kind), None)


def _combined_null(nulls: Sequence[NullSummary | None]) -> NullSummary | None:
    """``None`` unless every seed has the null: a p-value over some of the seeds would not be that of the row."""
    known = [null for null in nulls if null is not None]
    if len(known) < len(nulls):
        return None
    return known[0].model_copy(
        update={
            "n": sum(null.n for null in known),
            "mean": float(np.mean([null.mean for null in known])),
            "std": float(np.mean([null.std for null in known])),
            "quantile95": float(np.mean([null.quantile95 for null in known])),
            "pvalue": combine_pvalues([null.pvalue for null in known]),
            "combined": len(known),
        }
    )


def _combined_peaks(nulls: Sequence[PeakNull | None]) -> PeakNull | None:
    known = [null for null in nulls if null is not None]
    if len(known) < len(nulls):
        return None
    update = {
        "n": sum(null.n for null in known),
        "same": sum(null.same for null in known),
        "pvalue": combine_pvalues([null.pvalue for null in known]),
    }
    return known[0].model_copy(update=update)
