"""C1: does the eigengap g23 of the update spectrum decline in runs that grok, and only there?

Declines and rebounds of g23, of the update norm and of the weight norm, run by run and as contrasts of runs, at equal
strides, steps and lengths. Beside arithmetic means stand geometric ones: g23 passes near 0 where lambda_2 and lambda_3
almost cross, and one such window carries an arithmetic mean. Labels are exchanged between operations and weight decays
alike, so weight decay alone passes that null; it stands beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.claims.c01_gap import (
    FACTOR,
    GAP_WINDOW,
    GROKKED,
    OTHER,
    PUBLISHED_CONTROL_STRIDE,
    UNGROKKED,
)
from spectral_edge.replication.spectra.history import PREFIX, UpdateWindows, settings_of
from spectral_edge.replication.spectra.run_contrast import ContrastRun, contrast_row, matched_step, value_at
from spectral_edge.statistics import mean_interval, proportion_interval
from spectral_edge.store import Analysis, ClaimRow, Interval
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["gap_across", "gap_rows"]

_PUBLISHED_STRIDE = 100
# Mean of early / at grok, and fraction of runs that decline.
_PUBLISHED = {
    (GROKKED, 1.0): (40.0, 12 / 12),
    (UNGROKKED, 0.0): (1.2, 0.0),
    (OTHER, 1.0): (1.5, 1 / 6),
    (OTHER, 0.0): (1.1, 0.0),
}


@dataclass(frozen=True)
class _Ratio:
    """A series between the early window and the one at the end, as a ratio that should be large if the run groks."""

    statistic: str
    series: str
    declines: bool
    of_weights: bool = False


# g23_share has no scale: g23 also declines because updates shrink. The norms of updates and weights are the trivial
# explanations that a spectral one has to beat.
_RATIOS = (
    _Ratio("g23_decline", "g23", True),
    _Ratio("update_norm_decline", "update_norm", True),
    _Ratio("g23_share_decline", "g23_share", True),
    _Ratio("gap_ratio_jump", "gap_ratio", False),
    _Ratio("weight_norm_decline", "norm", True, of_weights=True),
    _Ratio("weight_gap_jump", "gap", False, of_weights=True),
)
_ELSEWHERE = _RATIOS[:2]  # measured at the other windows and strides, too
_REBOUNDS = {"g23_rebound": "g23", "update_norm_rebound": "update_norm"}
# In updates of the main stride: the lowest point is sought this far around the end, the highest this far after it.
_AROUND, _AFTER = 5, 10


def _main(arrays: dict[str, np.ndarray] | Any) -> UpdateWindows | None:
    """The published setting: W = 10 at the stride of the snapshots, here the smallest above 1."""
    return next((s for s in settings_of(arrays) if s.window == GAP_WINDOW and s.stride > 1), None)


def _series(arrays: Any, setting: UpdateWindows, ratio: _Ratio) -> tuple[np.ndarray, np.ndarray]:
    key = f"{PREFIX}weights." if ratio.of_weights else setting.key
    if ratio.series == "gap":  # geometric mean over W_Q and W_K of all layers
        names = [n for n in arrays if n.startswith(key) and n.endswith(("W_Q.singular_values", "W_K.singular_values"))]
        return arrays[f"{key}steps"], np.exp(
            np.mean([np.log(arrays[n][:, 0] / arrays[n][:, 1]) for n in sorted(names)], axis=0)
        )
    return arrays[f"{key}steps"], arrays[f"{key}{ratio.series}"]


def _measured(arrays: Any, setting: UpdateWindows, ratio: _Ratio, end: int | None) -> float | None:
    """The ratio between the early window and the one that ends at ``end`` (``None``: the last); ``None`` if undefined.

    Early is the first full window of the setting. Per-step spectra are taken at the early step of the main setting,
    since their own first window lies within the first hundred steps, in another phase of training. Where the run has
    one full window only, it is early and late at once and the ratio is 1 by construction.
    """
    main = _main(arrays)
    assert main is not None
    steps, values = _series(arrays, setting, ratio)
    early = int(arrays[f"{(main if setting.stride == 1 else setting).key}steps"][0])
    end = int(steps[-1]) if end is None else end
    first, last = value_at(steps, values, early), value_at(steps, values, end)
    if end < early or first is None or last is None or min(first, last) <= 0:
        return None
    return first / last if ratio.declines else last / first


def _rebound(arrays: Any, setting: UpdateWindows, series: str, end: int | None) -> float | None:
    """Largest value within 1 000 steps after ``end`` over the smallest within 500 steps around it."""
    if end is None:
        return None
    steps, values = arrays[f"{setting.key}steps"], arrays[f"{setting.key}{series}"]
    around = values[np.abs(steps - end) <= _AROUND * setting.stride]
    after = values[(steps > end) & (steps <= end + _AFTER * setting.stride)]
    if not len(around) or len(after) < _AFTER or around.min() <= 0:
        return None
    return float(after.max() / around.min())


def gap_rows(run: TrainedRun, arrays: dict[str, np.ndarray]) -> list[ClaimRow]:
    """Every ratio of one run, from its first full window to its grok step; if it never grokked, to its last window."""
    main = _main(arrays)
    if main is None:
        return []
    rows = []
    for setting in settings_of(arrays):
        if setting.stride not in (1, main.stride) and setting.window != GAP_WINDOW:
            continue
        for ratio in _RATIOS if setting == main else _ELSEWHERE:
            measured = _measured(arrays, setting, ratio, run.grok_step)
            if measured is not None:
                rows.append(
                    ClaimRow(
                        claim="C1",
                        task=run.training.operation,
                        seed=run.training.seed,
                        weight_decay=run.training.weight_decay,
                        step=run.grok_step or int(arrays[f"{setting.key}steps"][-1]),
                        measured=measured,
                        run_id=run.config.run_id,
                        **_fields(setting, ratio.statistic),
                    )
                )
    return rows


def _fields(setting: UpdateWindows, statistic: str) -> dict[str, Any]:
    return {"statistic": statistic, "window": setting.window, "stride": setting.stride, "centered": False}


def gap_across(analyses: Sequence[Analysis]) -> list[ClaimRow]:
    """Per statistic: mean and fraction declining of every group of runs, and how well it tells grokking runs apart.

    ``name`` ends every run where the paper does: at its grok step, or at its last window. ``name:matched`` ends a run
    that did not grok at the grok step of its nearest relative that did, so that both kinds are compared at equal
    steps. ``auc`` is over all runs, ``auc:same_weight_decay`` over those that have the weight decay of the runs that
    grokked, the only ones that weight decay itself does not tell apart.
    """
    runs = ContrastRun.all_of(analyses, f"{PREFIX}weights.steps")
    runs = [run for run in runs if _main(run.arrays) is not None]
    if not runs:
        return []
    main = _main(runs[0].arrays)
    assert main is not None
    own = [run.summary.grok_step if run.grokked else None for run in runs]
    matched = [matched_step(run, runs, "grok_step") for run in runs]
    rows = []
    for setting in sorted({setting for run in runs for setting in settings_of(run.arrays)}):
        if setting.stride not in (1, main.stride) and setting.window != GAP_WINDOW:
            continue
        for ratio in _RATIOS if setting == main else _ELSEWHERE:
            measured = [
                _measured(run.arrays, setting, ratio, end) if setting in settings_of(run.arrays) else None
                for run, end in zip(runs, own, strict=True)
            ]
            rows += _both(runs, measured, _fields(setting, ratio.statistic))
            if any(run.grokked for run in runs):
                at_equal_steps = [
                    _measured(run.arrays, setting, ratio, end) if setting in settings_of(run.arrays) and end else None
                    for run, end in zip(runs, matched, strict=True)
                ]
                rows += _both(runs, at_equal_steps, _fields(setting, f"{ratio.statistic}:matched"))
    for statistic, series in _REBOUNDS.items():
        values = [_rebound(run.arrays, main, series, end) for run, end in zip(runs, matched, strict=True)]
        rows += _both(runs, values, _fields(main, f"{statistic}:matched"))
    by_decay = contrast_row(
        runs,
        [run.summary.weight_decay for run in runs],
        {"claim": "C1", "statistic": "auc", "grouping": "weight_decay"},
    )
    return rows + ([by_decay] if by_decay else [])


def _both(runs: list[ContrastRun], values: list[float | None], fields: dict[str, Any]) -> list[ClaimRow]:
    return _groups(runs, values, fields) + _contrasts(runs, values, fields)


def _contrasts(runs: list[ContrastRun], values: list[float | None], fields: dict[str, Any]) -> list[ClaimRow]:
    row = partial(_contrast_fields, fields)
    decays = {run.summary.weight_decay for run in runs if run.grokked}
    inside = [value if run.summary.weight_decay in decays else None for run, value in zip(runs, values, strict=True)]
    found = [contrast_row(runs, values, row("auc")), contrast_row(runs, inside, row("auc:same_weight_decay"))]
    return [row for row in found if row is not None]


def _contrast_fields(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return fields | {"claim": "C1", "statistic": name, "grouping": fields["statistic"]}


def _groups(runs: list[ContrastRun], values: list[float | None], fields: dict[str, Any]) -> list[ClaimRow]:
    """Mean ratio and fraction of runs with a ratio of at least 2, for every kind of run and weight decay.

    The mean is geometric, its interval that of the mean logarithm; ``g23_decline`` has the published arithmetic one,
    too.
    """
    grokking = {run.summary.task for run in runs if run.grokked}
    groups: dict[tuple[str, float], list[tuple[ContrastRun, float]]] = {}
    for run, value in zip(runs, values, strict=True):
        if value is not None:
            kind = GROKKED if run.grokked else UNGROKKED if run.summary.task in grokking else OTHER
            groups.setdefault((kind, run.summary.weight_decay), []).append((run, value))
    rows = []
    for (kind, weight_decay), members in sorted(groups.items()):
        n, ratios = len(members), np.array([value for _, value in members])
        declining = int((ratios >= FACTOR).sum())
        same_window = bool((ratios == 1).all())  # then the ratio is no measurement: nothing to compare
        published = _published(kind, weight_decay, [r for r, _ in members], fields) if not same_window else (None, None)
        shared: dict[str, Any] = fields | {
            "claim": "C1",
            "task": "all",
            "seeds": sorted({run.summary.seed for run, _ in members}),
            "weight_decay": weight_decay,
            "grouping": kind,
        }
        name = fields["statistic"]
        logs = np.log(ratios)
        spread = tuple(np.exp(mean_interval(logs))) if n > 1 else None
        numbers: list[tuple[str, float, tuple[float, ...] | None, Any, float | None]] = [
            (f"{name}:geometric_mean", float(np.exp(logs.mean())), spread, "t", None),
            (f"{name}:fraction", declining / n, proportion_interval(declining, n), "exact", published[1]),
        ]
        if name == "g23_decline":
            numbers.append((name, float(ratios.mean()), mean_interval(ratios) if n > 1 else None, "t", published[0]))
        for statistic, measured, bounds, method, theirs in numbers:
            interval = None if bounds is None else Interval(low=bounds[0], high=bounds[1], n=n, method=method)
            row = shared | {"statistic": statistic}
            rows.append(ClaimRow(**row, measured=measured, interval=interval, published=theirs))
    return rows


def _published(
    kind: str, weight_decay: float, runs: list[ContrastRun], fields: dict[str, Any]
) -> tuple[float | None, float | None]:
    """The paper's mean and fraction, if these runs and this setting are the paper's."""
    stride = _PUBLISHED_STRIDE if weight_decay > 0 else PUBLISHED_CONTROL_STRIDE
    setting = (fields["statistic"], fields["window"], fields["stride"]) == ("g23_decline", GAP_WINDOW, stride)
    default = all(TrainingConfig(**run.summary.protocol) == TrainingConfig() for run in runs)
    return _PUBLISHED.get((kind, weight_decay), (None, None)) if setting and default else (None, None)
