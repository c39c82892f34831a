"""Runs that grokked against runs that did not: matched steps, and how well one number tells the two apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median_low
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectral_edge.replication.null_summary import summarise
from spectral_edge.statistics import auc, auc_interval
from spectral_edge.store import Analysis, ClaimRow, Interval, RunSummary

__all__ = ["ContrastRun", "contrast_row", "label_null", "matched_step", "relative_step", "value_at"]

Floats = NDArray[np.float64]
Landmark = Literal["grok_step", "stop_step"]

_DRAWS = 1_999
_SEED = 0


@dataclass(frozen=True)
class ContrastRun:
    """One analysed run: what it was, whether it grokked, and its arrays.

    Attributes:
        summary: operation, seed, weight decay and landmarks.
        arrays: of the study that compares the runs.
    """

    summary: RunSummary
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def all_of(cls, analyses: Sequence[Analysis], needed: str) -> list[ContrastRun]:
        """The runs that have the array ``needed``, by run id: the same order whatever order they come in."""
        runs = [cls(a.summary, a.arrays) for a in analyses if needed in a.arrays]
        return sorted(runs, key=lambda run: run.summary.run_id)

    @property
    def grokked(self) -> bool:
        """Whether the published stopping rule was met: decided by what the run did, not by what it is."""
        return self.summary.stop_step is not None

    @property
    def condition(self) -> tuple[str, float]:
        """Operation and weight decay: what runs that differ only in the seed share."""
        return self.summary.task, self.summary.weight_decay


def matched_step(run: ContrastRun, runs: Sequence[ContrastRun], landmark: Landmark) -> int | None:
    """The landmark of a run that grokked; for another the landmark of its nearest relative that did.

    The relative has the same operation and seed, else the same operation (median over its runs); for an operation of
    which no run grokked it is the median over all runs that did. ``None`` if none did. Medians are those of steps
    that occur, the lower one of two.
    """
    if run.grokked:
        return getattr(run.summary, landmark)
    others = [(o.summary.task, o.summary.seed, getattr(o.summary, landmark)) for o in runs if o.grokked]
    return relative_step(run.summary.task, run.summary.seed, others)


def relative_step(task: str, seed: int, others: Sequence[tuple[str, int, int]]) -> int | None:
    """The step of the nearest relative among ``others``: (task, seed, step); see :func:`matched_step`."""
    same_operation = [other for other in others if other[0] == task]
    same_seed = [other for other in same_operation if other[1] == seed]
    relatives = same_seed or same_operation or others
    return median_low(step for *_, step in relatives) if relatives else None


def value_at(steps: np.ndarray, values: np.ndarray, step: int | None) -> float | None:
    """The value at ``step``, ``None`` if it is not there."""
    index = np.flatnonzero(steps == (-1 if step is None else step))
    return float(values[index[0]]) if len(index) else None


def contrast_row(
    runs: Sequence[ContrastRun], values: Sequence[float | None], row: Mapping[str, Any]
) -> ClaimRow | None:
    """AUC of one number, runs that grokked against those that did not, beside a permutation of the labels.

    Seeds of one operation and weight decay nearly always share their label, so they are not independent witnesses:
    the null exchanges the labels of whole conditions. With 12 conditions of which 4 grok the least possible p-value is
    1/495; within weight decay 1, where 4 of 6 do, it is 1/15, and no number however good can reach 0.05 there. The
    interval takes runs as independent and is too narrow accordingly.

    Args:
        runs: in a fixed order.
        values: of each; large should mean grokking; runs with ``None`` are left out.
        row: the other fields of the row.

    Returns:
        The row; ``None`` if a kind of run is missing.
    """
    kept = [(run, value) for run, value in zip(runs, values, strict=True) if value is not None and np.isfinite(value)]
    labels = tuple(run.grokked for run, _ in kept)
    if len(set(labels)) < 2:
        return None
    scores = np.array([value for _, value in kept])
    positive, negative = scores[np.array(labels)], scores[~np.array(labels)]
    measured = auc(positive, negative)
    low, high = auc_interval(positive, negative)
    null = label_null(scores, labels, tuple(run.condition for run, _ in kept))
    return ClaimRow(
        **row,
        task="all",
        seeds=sorted({run.summary.seed for run, _ in kept}),
        measured=measured,
        interval=Interval(low=low, high=high, n=len(kept), method="score"),
        null=summarise(null, measured, "label_permutation"),
    )


def label_null(scores: Floats, labels: tuple[bool, ...], conditions: tuple[tuple[str, float], ...]) -> Floats:
    """AUC under exchanged labels of whole conditions, (draws,), as :func:`contrast_row` says.

    Ranks are multiples of 1/2, so that ties with the measurement are exact.
    """
    permuted = _permuted_labels(labels, conditions)
    positives = permuted.sum(axis=1)
    wins = permuted @ stats.rankdata(scores) - positives * (positives + 1) / 2
    return wins / (positives * (len(labels) - positives))


@lru_cache(maxsize=16)
def _permuted_labels(labels: tuple[bool, ...], conditions: tuple[tuple[str, float], ...]) -> Floats:
    """Labels of whole conditions exchanged, (draws, runs).

    Where all seeds of each condition agree, any condition can have any condition's label; where they do not,
    conditions with equally many runs exchange theirs.
    """
    rng = np.random.default_rng(_SEED)
    own = np.array(labels, dtype=np.float64)
    blocks = [np.flatnonzero([c == condition for c in conditions]) for condition in sorted(set(conditions))]
    agree = all(np.ptp(own[block]) == 0 for block in blocks)
    exchanged = [blocks] if agree else [[b for b in blocks if len(b) == n] for n in sorted({len(b) for b in blocks})]
    permuted = np.empty((_DRAWS, len(labels)))
    for draw in permuted:
        for equal in exchanged:
            for target, source in zip(equal, rng.permutation(len(equal)), strict=True):
                draw[target] = own[equal[source][0]] if agree else own[equal[source]]
    return permuted
