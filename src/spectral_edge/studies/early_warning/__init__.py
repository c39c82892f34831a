"""Does the update spectrum warn that a run is about to generalise, earlier or more reliably than what is free?"""

from spectral_edge.studies.early_warning.alarms import Fold, folds_of, judge
from spectral_edge.studies.early_warning.protocol import GROK, VARIANTS, Statistic, WarningConfig, statistics_of
from spectral_edge.studies.early_warning.series import WatchedRun, alarm_step, level_before, watch_run, watched_values
from spectral_edge.studies.early_warning.study import early_warnings, second_runs, sweep_runs, watch_runs
from spectral_edge.studies.early_warning.summary import at_equal_steps, setting_label, summarise_alarms

__all__ = [
    "GROK",
    "VARIANTS",
    "Fold",
    "Statistic",
    "WarningConfig",
    "WatchedRun",
    "alarm_step",
    "at_equal_steps",
    "early_warnings",
    "folds_of",
    "judge",
    "level_before",
    "second_runs",
    "setting_label",
    "statistics_of",
    "summarise_alarms",
    "sweep_runs",
    "watch_run",
    "watch_runs",
    "watched_values",
]
