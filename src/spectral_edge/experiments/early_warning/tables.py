"""What the rows of early warning say, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb

from spectral_edge.experiments.early_warning.protocol import GROK, VARIANTS
from spectral_edge.experiments.early_warning.summary import setting_label
from spectral_edge.experiments.point import Point
from spectral_edge.store import AlarmRow, EarlyWarnings, Interval, Scheme, WarningRow

__all__ = ["by_rank", "row_label", "rows_of", "warning_points"]

_EVENTS = {"": "test accuracy above 0.5", GROK: "the grok step"}
_HOW = (
    "Best first: share of hits minus share of false alarms, then median lead. Exact binomial intervals at 95 %, over "
    "runs. Held-out data: whether it needs any. Clock: an alarm in every run at the median step of the statistic's "
    "alarms on the training runs; it is false in every run that does not generalise."
)
_EQUAL = (
    " AUC: area under the ROC curve of the level that a run has exceeded at two evaluations in a row, just before its "
    "event; a run without an event is read at the event step of its nearest relative that has one. p: from exchanging "
    "labels of whole conditions, at best 1/{}."
)
_COLUMNS = ("statistic", "held-out data", "hits", "false alarms", "false alarms at weight decay 0", "median lead [all]")
_CLOCK = ("clock: hits", "clock: median lead [all]")


def rows_of(warnings: EarlyWarnings, scheme: Scheme, variant: str = "") -> list[WarningRow]:
    """The rows of one scheme and setting, in the order of the protocol."""
    return [row for row in warnings.rows if (row.scheme, row.variant) == (scheme, variant)]


def by_rank(rows: Iterable[WarningRow]) -> list[WarningRow]:
    """Best first: share of hits minus share of false alarms, then median lead, then the order they are in."""
    return sorted(rows, key=lambda row: (-row.score, -(row.median_lead or 0)))


def row_label(row: WarningRow) -> str:
    """The statistic with its setting, and what was chosen on the training runs."""
    chosen = ", ".join(dict.fromkeys(row.chosen.values()))
    return setting_label(row.statistic, row.stride, row.window) + (f": {chosen}" if chosen else "")


def warning_points(warnings: EarlyWarnings) -> list[Point]:
    """Landmarks, then every scheme for both events, then what the settings change."""
    points = [_landmarks(warnings.alarms)]
    for variant, event in _EVENTS.items():
        points.append(_ranking(warnings, "seed", variant, f"One seed left out; event: {event}"))
        title = f"The same within weight decay 1, thresholds included; event: {event}"
        points.append(_ranking(warnings, "seed, weight decay 1", variant, title))
    points += [_operations(warnings, variant, event) for variant, event in _EVENTS.items()]
    if rows_of(warnings, "second set"):
        points.append(_second(warnings))
    return [*points, _settings(warnings)]


def _landmarks(alarms: Sequence[AlarmRow]) -> Point:
    runs = {a.run_id: a for a in alarms if a.scheme in ("seed", "second set") and a.event == "transition"}
    groups: dict[tuple[str, str, float], list[AlarmRow]] = {}
    for run in runs.values():
        kind = "sweep" if run.scheme == "seed" else "second set"
        operation = run.operation.partition(".")[0] + (" renamed" if "." in run.operation else "")
        groups.setdefault((kind, f"{operation} mod {run.p}", run.weight_decay), []).append(run)
    rows = [
        (
            kind,
            operation,
            f"{decay:g}",
            str(len(found)),
            _steps(run.armed_step for run in found),
            _steps(run.event_step for run in found),
            _steps(run.grok_step for run in found),
            _steps(run.steps for run in found),
        )
        for (kind, operation, decay), found in groups.items()
    ]
    return Point(
        "Runs and their landmarks",
        "Steps, over seeds: least to largest. A dash: in no run; a count: in so many of them.",
        ("runs", "operation", "weight decay", "n", "armed", "test accuracy above 0.5", "grok step", "last step"),
        tuple(rows),
    )


def _steps(steps: Iterable[int | None]) -> str:
    every = list(steps)
    known = [step for step in every if step is not None]
    if not known:
        return "—"
    text = str(min(known)) if min(known) == max(known) else f"{min(known)} to {max(known)}"
    return text if len(known) == len(every) else f"{text} ({len(known)} runs)"


def _ranking(warnings: EarlyWarnings, scheme: Scheme, variant: str, title: str) -> Point:
    rows = by_rank(rows_of(warnings, scheme, variant))
    kinds = [group.generalised for group in rows[0].groups]
    least = comb(len(kinds), sum(kinds))
    table = tuple((*_cells(row), *_clock(row), _area(row)) for row in rows)
    return Point(title, _HOW + _EQUAL.format(least), (*_COLUMNS, *_CLOCK, "AUC (p)"), table)


def _cells(row: WarningRow) -> tuple[str, ...]:
    decayed = [group for group in row.groups if not group.generalised and group.weight_decay == 0]
    without = f"{sum(g.alarms for g in decayed)} of {sum(g.runs for g in decayed)}" if decayed else "—"
    return (
        row_label(row),
        "yes" if row.held_out_data else "no",
        _share(row.hits, row.generalised, row.hits_interval),
        _share(row.false_alarms, row.others, row.false_alarms_interval),
        without,
        _leads(row.median_lead, row.least_lead, row.largest_lead),
    )


def _clock(row: WarningRow) -> tuple[str, str]:
    if not row.clock_steps:
        return "—", "—"
    hits = f"{row.clock_hits} of {row.generalised}"
    return hits, _leads(row.clock_median_lead, row.clock_least_lead, row.clock_largest_lead)


def _area(row: WarningRow) -> str:
    return "—" if row.auc is None or row.auc_pvalue is None else f"{row.auc:.2f} ({row.auc_pvalue:.4f})"


def _share(count: int, n: int, interval: Interval | None) -> str:
    return f"{count} of {n}" + ("" if interval is None else f" [{interval.low:.2f}, {interval.high:.2f}]")


def _leads(median: float | None, least: int | None, largest: int | None) -> str:
    return "—" if median is None else f"{median:g} [{least} to {largest}]"


def _operations(warnings: EarlyWarnings, variant: str, event: str) -> Point:
    rows = by_rank(rows_of(warnings, "operation", variant))
    groups = sorted({(g.operation, g.weight_decay, g.generalised) for row in rows for g in row.groups}, key=_order)
    table = []
    for row in rows:
        counts = {(g.operation, g.weight_decay, g.generalised): f"{g.alarms} of {g.runs}" for g in row.groups}
        table.append((row_label(row), *(counts.get(group, "—") for group in groups)))
    names = [f"{'hits' if g[2] else 'false'}: {g[0]}, weight decay {g[1]:g}" for g in groups]
    return Point(
        f"One operation left out; event: {event}",
        "Alarms before the event in runs that have one, false alarms in the others, by operation and weight decay; "
        "thresholds from the five other operations.",
        ("statistic", *names),
        tuple(table),
    )


def _order(group: tuple[str, float, bool]) -> tuple[bool, float, str]:
    return not group[2], -group[1], group[0]


def _second(warnings: EarlyWarnings) -> Point:
    schemes: tuple[Scheme, ...] = ("second set", "second set, weight decay 1")
    parts = [(scheme, variant) for variant in _EVENTS for scheme in schemes]
    columns = []
    for scheme, variant in parts:
        source = "weight decay 1" if scheme.endswith("1") else "the whole sweep"
        columns.append(f"thresholds of {source}; event: {_EVENTS[variant]}")
    table = []
    for row in by_rank(rows_of(warnings, *parts[0])):
        cells = []
        for scheme, variant in parts:
            same = [r for r in rows_of(warnings, scheme, variant) if _key(r) == _key(row)]
            cells += [_brief(one) for one in same]
        name = setting_label(row.statistic, row.stride, row.window)
        table.append((name, "yes" if row.held_out_data else "no", *cells))
    return Point(
        "Second set: runs outside the sweep, thresholds from all its seeds",
        "Hits, false alarms, median lead [least to largest]. Renamed tokens, other groups and moduli, random tables; "
        "all of weight decay 1. Runs end when they have grokked, so that only random tables can alarm falsely.",
        ("statistic", "held-out data", *columns),
        tuple(table),
    )


def _key(row: WarningRow) -> tuple[str, int | None]:
    return row.statistic, row.stride


def _brief(row: WarningRow) -> str:
    counts = f"{row.hits} of {row.generalised}, {row.false_alarms} of {row.others}"
    return counts + (
        "" if row.median_lead is None else f", {row.median_lead:g} [{row.least_lead} to {row.largest_lead}]"
    )


def _settings(warnings: EarlyWarnings) -> Point:
    names = [name for name in VARIANTS if name != GROK]
    table = []
    schemes: tuple[Scheme, ...] = ("seed", "seed, weight decay 1")
    for scheme in schemes:
        within = "1" if scheme.endswith("1") else "1 and 0"
        for row in rows_of(warnings, scheme):
            cells = []
            for name in ("", *names):
                same = [one for one in rows_of(warnings, scheme, name) if _key(one) == _key(row)]
                cells.append("; ".join(_brief(one) for one in same) or "—")
            table.append((setting_label(row.statistic, row.stride, row.window), within, *cells))
    return Point(
        "What the settings change",
        "One seed left out; event: test accuracy above 0.5. Hits, false alarms, median lead [least to largest]. None "
        "of the variants decides anything.",
        ("statistic", "weight decay", "as decided", *names),
        tuple(table),
    )
