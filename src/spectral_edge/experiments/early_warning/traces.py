"""Statistics over training, laid out for drawing beside their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spectral_edge.experiments.early_warning.protocol import Statistic, WarningConfig, statistics_of
from spectral_edge.experiments.early_warning.series import WatchedRun, level_before, watched_values
from spectral_edge.experiments.early_warning.summary import setting_label
from spectral_edge.statistics import alarm_threshold

__all__ = ["Curve", "Trace", "trace_statistics"]

_SHOWN = ("test_loss_fall", "test_accuracy", "weight_norm_fall")
_SHOWN_SPECTRAL = (("g23_fall", True), ("gap_ratio_rise", False), ("edge_position_fall", False))


@dataclass(frozen=True, eq=False)
class Curve:
    """One run: what the monitor saw, to the event or the end.

    Attributes:
        steps: (T,) from arming on.
        values: (T,) of the statistic.
        weight_decay: of the run.
        generalised: whether the last step is the event.
    """

    steps: np.ndarray
    values: np.ndarray
    weight_decay: float
    generalised: bool


@dataclass(frozen=True, eq=False)
class Trace:
    """One statistic on all runs.

    Attributes:
        label: the statistic with stride and window.
        threshold: from all runs that do not generalise.
        threshold_decayed: from those of weight decay 1 alone.
        curves: the runs.
    """

    label: str
    threshold: float
    threshold_decayed: float
    curves: tuple[Curve, ...]


def trace_statistics(runs: Sequence[WatchedRun], config: WarningConfig) -> list[Trace]:
    """Three spectral statistics and three that need no spectrum, picked for the figure when all counts were known.

    g23 as published, at the stride of the snapshots; the two others are the spectral ones that warn within weight
    decay 1, at stride 1.
    """
    by_name: dict[tuple[str, bool], Statistic] = {(s.name, s.stride == config.stride): s for s in statistics_of(config)}
    shown = [by_name[key] for key in _SHOWN_SPECTRAL] + [by_name[name, False] for name in _SHOWN]
    return [_trace(runs, statistic, config) for statistic in shown]


def _trace(runs: Sequence[WatchedRun], statistic: Statistic, config: WarningConfig) -> Trace:
    quiet = [run for run in runs if run.event_step(config) is None]
    levels = [level_before(run, statistic, config) for run in quiet]
    decayed = [level for level, run in zip(levels, quiet, strict=True) if run.weight_decay == 1.0]
    curves = []
    for run in runs:
        steps, values = watched_values(run, statistic, config)
        event = run.event_step(config)
        kept = steps <= (np.inf if event is None else event)
        curves.append(Curve(steps[kept], values[kept], run.weight_decay, event is not None))
    return Trace(
        setting_label(statistic.name, statistic.stride, statistic.window),
        alarm_threshold(levels, config.allowed),
        alarm_threshold(decayed, config.allowed),
        tuple(curves),
    )
