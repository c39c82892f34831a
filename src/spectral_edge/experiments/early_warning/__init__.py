"""Does the update spectrum warn that a run is about to generalise, earlier or more reliably than what is free?"""

from spectral_edge.experiments.early_warning.alarms import Fold, folds_of, judge
from spectral_edge.experiments.early_warning.protocol import GROK, VARIANTS, Statistic, WarningConfig, statistics_of
from spectral_edge.experiments.early_warning.series import (
    WatchedRun,
    alarm_step,
    level_before,
    watch_run,
    watched_values,
)
from spectral_edge.experiments.early_warning.study import early_warnings, second_runs, sweep_runs, watch_runs
from spectral_edge.experiments.early_warning.summary import at_equal_steps, setting_label, summarise_alarms
from spectral_edge.experiments.early_warning.tables import by_rank, row_label, rows_of, warning_points
from spectral_edge.experiments.early_warning.traces import Curve, Trace, trace_statistics

__all__ = [
    "GROK",
    "VARIANTS",
    "Curve",
    "Fold",
    "Statistic",
    "Trace",
    "WarningConfig",
    "WatchedRun",
    "alarm_step",
    "at_equal_steps",
    "by_rank",
    "early_warnings",
    "folds_of",
    "judge",
    "level_before",
    "row_label",
    "rows_of",
    "second_runs",
    "setting_label",
    "statistics_of",
    "summarise_alarms",
    "sweep_runs",
    "trace_statistics",
    "warning_points",
    "watch_run",
    "watch_runs",
    "watched_values",
]
