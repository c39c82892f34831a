"""Alarms of many runs as one row a statistic."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from spectral_edge.experiments.early_warning.protocol import Statistic, WarningConfig
from spectral_edge.experiments.early_warning.series import WatchedRun, level_before
from spectral_edge.replication.spectra.run_contrast import label_null, relative_step
from spectral_edge.statistics import NullDistribution, auc, proportion_interval, rank_correlation
from spectral_edge.store import AlarmRow, GroupCount, Interval, Scheme, WarningRow

__all__ = ["at_equal_steps", "needs_held_out_data", "setting_label", "summarise_alarms"]

_FEWEST = 3


def setting_label(statistic: str, stride: int | None, window: int | None) -> str:
    """A statistic with its stride and window: ``g23_fall (stride 1, W = 20)``."""
    return statistic if stride is None else f"{statistic} (stride {stride}, W = {window})"


def needs_held_out_data(statistic: str) -> bool:
    """Whether a statistic, by its name, needs labelled data that the run is not trained on."""
    return statistic.startswith("test_")


def summarise_alarms(
    alarms: Sequence[AlarmRow],
    variant: str = "",
    contrasts: dict[tuple[str, int | None], tuple[float, float]] | None = None,
) -> list[WarningRow]:
    """One row for each statistic, in the order of the alarms.

    Args:
        alarms: of one scheme and one setting, all folds.
        variant: name of the setting; empty for the one that decides.
        contrasts: area under the ROC curve and p-value by statistic and stride, of :func:`at_equal_steps`.
    """
    grouped: dict[tuple[str, int | None], list[AlarmRow]] = {}
    for alarm in alarms:
        grouped.setdefault((alarm.statistic, None if alarm.chosen else alarm.stride), []).append(alarm)
    return [_row(rows, variant, (contrasts or {}).get(key)) for key, rows in grouped.items()]


def _row(alarms: list[AlarmRow], variant: str, contrast: tuple[float, float] | None) -> WarningRow:
    first = alarms[0]
    leads = [alarm.lead for alarm in alarms if alarm.lead is not None]
    positive = [alarm for alarm in alarms if alarm.event_step is not None]
    negative = [alarm for alarm in alarms if alarm.event_step is None]
    false = sum(alarm.outcome == "false_alarm" for alarm in negative)
    clocked = [lead for alarm in positive if (lead := _clock_lead(alarm)) > 0]
    return WarningRow(
        scheme=first.scheme,
        variant=variant,
        statistic=first.statistic,
        kind=first.kind,
        held_out_data=any(needs_held_out_data(a.chosen or a.statistic) for a in alarms),
        chosen={a.held_out: setting_label(a.chosen, a.stride, a.window) for a in alarms if a.chosen is not None},
        stride=None if first.chosen else first.stride,
        window=None if first.chosen else first.window,
        event=first.event,
        patience=first.patience,
        armed=first.armed,
        watched=first.watched,
        seeds=sorted({alarm.seed for alarm in alarms}),
        thresholds={alarm.held_out: alarm.threshold for alarm in alarms},
        hits=len(leads),
        hits_interval=_interval(len(leads), len(positive)),
        false_alarms=false,
        false_alarms_interval=_interval(false, len(negative)),
        median_lead=float(median(leads)) if leads else None,
        least_lead=min(leads, default=None),
        largest_lead=max(leads, default=None),
        event_correlation=_correlation([alarm for alarm in positive if alarm.outcome == "hit"]),
        clock_steps={alarm.held_out: alarm.clock_step for alarm in alarms if alarm.clock_step is not None},
        clock_hits=len(clocked),
        clock_false_alarms=sum(a.clock_step is not None and a.clock_step <= a.steps for a in negative),
        clock_median_lead=float(median(clocked)) if clocked else None,
        clock_least_lead=min(clocked, default=None),
        clock_largest_lead=max(clocked, default=None),
        auc=None if contrast is None else contrast[0],
        auc_pvalue=None if contrast is None else contrast[1],
        groups=_groups(alarms),
    )


def _clock_lead(alarm: AlarmRow) -> int:
    return -1 if alarm.event_step is None or alarm.clock_step is None else alarm.event_step - alarm.clock_step


def _interval(successes: int, n: int) -> Interval | None:
    if n == 0:
        return None
    low, high = proportion_interval(successes, n)
    return Interval(low=low, high=high, n=n, method="exact")


def _correlation(hits: list[AlarmRow]) -> float | None:
    """Rank correlation of alarm and event; ``None`` where either is the same in all runs, or there are few."""
    pairs = np.array([(hit.alarm_step, hit.event_step) for hit in hits], dtype=np.float64).reshape(-1, 2)
    if len(pairs) < _FEWEST or (np.ptp(pairs, axis=0) == 0).any():
        return None
    return rank_correlation(pairs[:, 0], pairs[:, 1])


def _groups(alarms: list[AlarmRow]) -> list[GroupCount]:
    keys = dict.fromkeys((a.operation, a.weight_decay, a.event_step is not None) for a in alarms)
    groups = []
    for operation, weight_decay, generalised in keys:
        members = [a for a in alarms if (a.operation, a.weight_decay) == (operation, weight_decay)]
        members = [a for a in members if (a.event_step is not None) == generalised]
        count = sum(a.outcome in ("hit", "false_alarm") for a in members)
        groups.append(
            GroupCount(
                operation=operation,
                weight_decay=weight_decay,
                generalised=generalised,
                alarms=count,
                runs=len(members),
            )
        )
    return groups


def at_equal_steps(
    runs: Sequence[WatchedRun], statistics: Sequence[Statistic], config: WarningConfig, scheme: Scheme
) -> dict[tuple[str, int | None], tuple[float, float]]:
    """How well what a statistic reached before the event tells runs that generalise from others, at equal steps.

    The level of a run is the highest threshold it would have passed before its event; where there is none, before the
    event of the nearest relative that has one.

    Returns:
        Area under the ROC curve and one-sided p-value by statistic and stride; empty if a kind of run is missing.
    """
    runs = [run for run in runs if "weight decay 1" not in scheme or run.weight_decay == 1.0]
    own = [run.event_step(config) for run in runs]
    events = [(run.operation, run.seed, step) for run, step in zip(runs, own, strict=True) if step is not None]
    labels = tuple(step is not None for step in own)
    if len(set(labels)) < 2:
        return {}
    ends = [step or relative_step(run.operation, run.seed, events) for run, step in zip(runs, own, strict=True)]
    conditions = tuple((run.operation, run.weight_decay) for run in runs)
    found = {}
    for statistic in statistics:
        levels = np.array(
            [level_before(run, statistic, config, (end or 0) - 1) for run, end in zip(runs, ends, strict=True)]
        )
        area = auc(levels[np.array(labels)], levels[~np.array(labels)])
        null = NullDistribution(label_null(levels, labels, conditions), "label_permutation")
        found[statistic.name, statistic.stride] = (area, null.pvalue(area))
    return found
