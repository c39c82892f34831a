"""Thresholds from some runs, alarms of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, median_low

from spectral_edge.experiments.early_warning.protocol import Statistic, WarningConfig
from spectral_edge.experiments.early_warning.series import WatchedRun, alarm_step, armed_step, level_before
from spectral_edge.statistics import alarm_threshold
from spectral_edge.store import AlarmRow, Outcome, Scheme, StatisticKind

__all__ = ["CHOSEN", "Fold", "folds_of", "judge"]

CHOSEN: dict[str, StatisticKind] = {"chosen spectral": "spectral", "chosen baseline": "baseline"}
"""The statistics that are chosen on the training runs, and among which."""
_WITH_DECAY = 1.0


@dataclass(frozen=True)
class Fold:
    """Runs that set the thresholds and runs that are judged by them; none is both.

    Attributes:
        scheme: how they were divided.
        held_out: what the judged runs have and the others do not.
        training: runs that set thresholds.
        judged: the others.
    """

    scheme: Scheme
    held_out: str
    training: tuple[WatchedRun, ...]
    judged: tuple[WatchedRun, ...]


def folds_of(scheme: Scheme, sweep: Sequence[WatchedRun], second: Sequence[WatchedRun] = ()) -> list[Fold]:
    """Divide the runs as the scheme says.

    Args:
        scheme: which.
        sweep: the runs of the paper's sweep.
        second: runs outside it, for the schemes that judge these.

    Returns:
        One fold for each seed or operation of the sweep, or a single one.
    """
    name, _, inside = scheme.partition(", ")
    runs = [run for run in sweep if not inside or run.weight_decay == _WITH_DECAY]
    if name == "second set":
        return [Fold(scheme, "second set", tuple(runs), tuple(second))] if second else []

    def part(run: WatchedRun) -> str:
        return str(run.seed) if name == "seed" else run.operation

    return [
        Fold(
            scheme,
            held_out,
            tuple(run for run in runs if part(run) != held_out),
            tuple(run for run in runs if part(run) == held_out),
        )
        for held_out in dict.fromkeys(map(part, runs))
    ]


@dataclass(frozen=True)
class _Calibrated:
    """A statistic with what the training runs say of it: threshold, clock, and how it did there."""

    statistic: Statistic
    threshold: float
    clock_step: int | None
    hits: int
    median_lead: float


def judge(fold: Fold, statistics: Sequence[Statistic], config: WarningConfig) -> list[AlarmRow]:
    """Every statistic on every judged run, then the two that are chosen on the training runs.

    Raises:
        ValueError: all training runs generalise, so that nothing says what a false alarm is.
    """
    until = _until(fold, config)
    calibrated = [_calibrate(fold, statistic, config, until) for statistic in statistics]
    rows = [row for one in calibrated for row in _judged(fold, one, config, until, None)]
    for name, kind in CHOSEN.items():
        best = max(
            (one for one in calibrated if one.statistic.kind == kind),
            key=lambda one: (one.hits, one.median_lead),  # the first of equals
        )
        rows += _judged(fold, best, config, until, name)
    return rows


def _until(fold: Fold, config: WarningConfig) -> int | None:
    """The last step at which an alarm in a run that does not generalise counts; ``None``: all do."""
    events = [event for run in fold.training if (event := run.event_step(config)) is not None]
    return max(events, default=None) if config.watched == "comparable" else None


def _calibrate(fold: Fold, statistic: Statistic, config: WarningConfig, until: int | None) -> _Calibrated:
    others = [run for run in fold.training if run.event_step(config) is None]
    if len(others) <= config.allowed:
        raise ValueError(
            f"{fold.scheme}, {fold.held_out} held out: {len(others)} training runs do not generalise; a threshold "
            f"needs more than {config.allowed}"
        )
    threshold = alarm_threshold([level_before(run, statistic, config, until) for run in others], config.allowed)
    alarms = [(run.event_step(config), alarm_step(run, statistic, threshold, config)) for run in fold.training]
    hits = [(event, at) for event, at in alarms if event is not None and at is not None and at < event]
    return _Calibrated(
        statistic,
        threshold,
        median_low(at for _, at in hits) if hits else None,
        len(hits),
        median(event - at for event, at in hits) if hits else 0.0,
    )


def _judged(
    fold: Fold, one: _Calibrated, config: WarningConfig, until: int | None, chosen: str | None
) -> Iterator[AlarmRow]:
    statistic = one.statistic
    for run in fold.judged:
        event = run.event_step(config)
        at = alarm_step(run, statistic, one.threshold, config, until if event is None else None)
        outcome, lead = _outcome(event, at)
        yield AlarmRow(
            scheme=fold.scheme,
            held_out=fold.held_out,
            statistic=chosen or statistic.name,
            kind=statistic.kind,
            chosen=statistic.name if chosen else None,
            stride=statistic.stride,
            window=statistic.window,
            event=config.event,
            patience=config.patience,
            armed=config.armed,
            watched=config.watched,
            threshold=one.threshold,
            clock_step=one.clock_step,
            run_id=run.run_id,
            operation=run.operation,
            p=run.p,
            seed=run.seed,
            weight_decay=run.weight_decay,
            steps=run.steps,
            armed_step=armed_step(run, config),
            event_step=event,
            grok_step=run.grok_step,
            alarm_step=at,
            outcome=outcome,
            lead=lead,
        )


def _outcome(event: int | None, alarm: int | None) -> tuple[Outcome, int | None]:
    if event is None:
        return ("quiet" if alarm is None else "false_alarm"), None
    if alarm is None or alarm >= event:
        return "miss", None
    return "hit", event - alarm
