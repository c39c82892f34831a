"""Alarms before generalisation, run by run and statistic by statistic, on disk."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from spectral_edge.store.records import Document, Frozen
from spectral_edge.store.results import Interval

__all__ = [
    "AlarmRow",
    "Armed",
    "EarlyWarnings",
    "Event",
    "GroupCount",
    "Outcome",
    "Scheme",
    "StatisticKind",
    "WarningRow",
    "Watched",
]

StatisticKind = Literal["spectral", "baseline", "clock", "configuration"]
Event = Literal["transition", "grok"]
Armed = Literal["memorised", "start"]
Watched = Literal["budget", "comparable"]
Outcome = Literal[
    "hit",  # generalised, alarm before
    "miss",  # generalised, no alarm before
    "false_alarm",  # never generalised, alarm
    "quiet",  # never generalised, no alarm
]
Scheme = Literal[
    "seed",  # one seed left out at a time
    "seed, weight decay 1",  # the same, thresholds from runs of weight decay 1 alone
    "operation",  # one operation left out at a time
    "second set",  # thresholds from the whole sweep, judged on runs outside it
    "second set, weight decay 1",  # thresholds from the runs of weight decay 1 of the sweep
]


class AlarmRow(Frozen):
    """One statistic on one run that had no part in its threshold.

    ``alarm_step`` may be at the event or later, which is a miss; ``lead`` is that of hits. ``chosen`` is the statistic
    that was chosen on the training runs, with ``stride`` and ``window``, where ``statistic`` is such a choice.
    """

    scheme: Scheme
    held_out: str
    statistic: str
    kind: StatisticKind
    chosen: str | None
    stride: int | None
    window: int | None
    event: Event
    patience: int
    armed: Armed
    watched: Watched
    threshold: float
    clock_step: int | None
    run_id: str
    operation: str
    p: int
    seed: int
    weight_decay: float
    steps: int
    armed_step: int | None
    event_step: int | None
    grok_step: int | None
    alarm_step: int | None
    outcome: Outcome
    lead: int | None


class GroupCount(Frozen):
    """Alarms before the event, or false ones, in the judged runs of one operation and weight decay."""

    operation: str
    weight_decay: float
    generalised: bool
    alarms: int
    runs: int


class WarningRow(Frozen):
    """One statistic over all judged runs of a scheme.

    ``held_out_data`` says whether the statistic needs labelled data that the run is not trained on.
    ``thresholds`` and ``clock_steps`` are by what was held out; so is ``chosen``, empty where nothing was chosen. The
    clock is set to the median step of the alarms on the training runs. ``event_correlation`` is the rank correlation of
    alarm and event over hits. ``auc`` compares what had been reached just before the event at equal steps; its p-value
    exchanges the labels of whole conditions.
    """

    scheme: Scheme
    variant: str
    statistic: str
    kind: StatisticKind
    held_out_data: bool
    chosen: dict[str, str]
    stride: int | None
    window: int | None
    event: Event
    patience: int
    armed: Armed
    watched: Watched
    seeds: list[int]
    thresholds: dict[str, float]
    hits: int
    hits_interval: Interval | None
    false_alarms: int
    false_alarms_interval: Interval | None
    median_lead: float | None
    least_lead: int | None
    largest_lead: int | None
    event_correlation: float | None
    clock_steps: dict[str, int]
    clock_hits: int
    clock_false_alarms: int
    clock_median_lead: float | None
    clock_least_lead: int | None
    clock_largest_lead: int | None
    auc: float | None
    auc_pvalue: float | None
    groups: list[GroupCount]

    @property
    def generalised(self) -> int:
        """How many of the judged runs generalise."""
        return sum(group.runs for group in self.groups if group.generalised)

    @property
    def others(self) -> int:
        """How many of the judged runs do not."""
        return sum(group.runs for group in self.groups if not group.generalised)

    @property
    def score(self) -> float:
        """Share of hits minus share of false alarms: 1 at best, 0 for an alarm in every run or in none."""
        hits = self.hits / self.generalised if self.generalised else 0.0
        return hits - (self.false_alarms / self.others if self.others else 0.0)


class EarlyWarnings(Document):
    """The whole of ``early_warning.json``: ``rows`` of all schemes and variants, single ``alarms`` of the main ones."""

    made_by: ClassVar[str] = "Run `spectral-edge experiment early-warning` first."

    environment: dict[str, Any]
    protocol: dict[str, Any]
    rows: list[WarningRow]
    alarms: list[AlarmRow]
