"""Early warning drawn and written down: leads of every statistic, what the monitors saw, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, settle, style
from spectral_edge.store import AlarmRow, Scheme, StatisticKind

if TYPE_CHECKING:
    from spectral_edge.experiments.early_warning import Trace

__all__ = ["draw_leads", "draw_traces"]

_PANELS: tuple[tuple[Scheme, str], ...] = (
    ("seed", "sweep, one seed left out"),
    ("seed, weight decay 1", "the same within weight decay 1"),
    ("second set", "second set, thresholds of the sweep"),
)
_SERIES = {"spectral": SERIES[1], "baseline": SERIES[0]}
_MEMBERS: tuple[
    tuple[bool, float, str, dict[str, Any]], ...
] = (  # generalised, weight decay, what to call it, how to draw it
    (False, 0.0, "weight decay 0, never", {"color": GREY, "linewidth": 0.6}),
    (False, 1.0, "weight decay 1, never", {"color": SERIES[1].colour, "linestyle": "--", "linewidth": 0.9}),
    (True, 0.0, "weight decay 0, to its event", {"color": SERIES[2].colour, "linestyle": ":", "linewidth": 1.3}),
    (True, 1.0, "weight decay 1, to its event", {"color": SERIES[0].colour, "linewidth": 0.9}),
)


def draw_leads(alarms: Sequence[AlarmRow]) -> Drawing:
    """The lead of every hit, statistic by statistic, with the counts of hits and false alarms."""
    shown = [a for a in alarms if a.event == "transition" and a.chosen is None and a.kind in _SERIES]
    labels = list(dict.fromkeys((a.statistic, a.stride, a.kind) for a in shown))
    labels.sort(key=lambda label: label[2] != "spectral")
    panels = [(scheme, title) for scheme, title in _PANELS if any(a.scheme == scheme for a in shown)]
    with style():
        figure = Figure(figsize=(10.5, 0.8 + 0.25 * max(1, len(labels))), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, max(1, len(panels)), sharey=True))
        for panel, (scheme, title) in zip(axes, panels, strict=True):
            _leads(panel, [a for a in shown if a.scheme == scheme], labels)
            panel.set_title(title)
        axes[0].set_yticks(range(len(labels)), [_label(*label) for label in labels])
        axes[0].set_ylim(len(labels) - 0.5, -0.5)
        settle(figure)
    return Drawing(
        "early_warning_leads",
        "How long before the event each statistic warns",
        "Each mark is a run that was warned of before its test accuracy passed 0.5, by a threshold without false "
        "alarms among the training runs; the bar is the median lead. On the right: hits of the runs that generalise, "
        "and false alarms among those that do not. Squares: spectral; circles: needs no spectrum.",
        figure,
        tuple(title for _, title in panels),
        (),
    )


def _leads(panel: Axes, alarms: Sequence[AlarmRow], labels: Sequence[tuple[str, int | None, StatisticKind]]) -> None:
    for place, (statistic, stride, kind) in enumerate(labels):
        found = [a for a in alarms if (a.statistic, a.stride) == (statistic, stride)]
        leads = [a.lead for a in found if a.lead is not None]
        series = _SERIES[kind]
        spread = place + 0.28 * np.linspace(-1, 1, len(leads)) if len(leads) > 1 else [place] * len(leads)
        panel.plot(leads, spread, series.marker, color=series.colour, markersize=2.6, alpha=0.7, markeredgewidth=0)
        if leads:
            panel.plot([np.median(leads)] * 2, [place - 0.4, place + 0.4], color=INK, linewidth=1.4)
        positive = sum(a.event_step is not None for a in found)
        false = sum(a.outcome == "false_alarm" for a in found)
        panel.text(
            1.0,
            place,
            f"{len(leads)}/{positive}, {false}/{len(found) - positive} false",
            transform=panel.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=7.5,
        )
    panel.set_xscale("log")
    panel.set_xlim(80, 100_000)  # room for the counts
    panel.set_xticks([100, 1000, 10_000], ["100", "1 000", "10 000"])
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("lead, steps")
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.6)


def _label(statistic: str, stride: int | None, kind: StatisticKind) -> str:
    name = statistic.replace("_", " ")
    return name if stride is None else f"{name}, stride {stride}"


def draw_traces(traces: Sequence[Trace]) -> Drawing:
    """What the monitors of all runs saw, beside the thresholds."""
    with style():
        figure = Figure(figsize=(10.5, 5.2), layout="constrained")
        axes = figure.subplots(2, -(-max(1, len(traces)) // 2), squeeze=False).ravel()
        for panel, trace in zip(axes, traces, strict=False):
            _trace(panel, trace)
        for panel in axes[len(traces) :]:
            panel.set_axis_off()
        if traces:
            handles, names = axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=3)
        settle(figure)
    return Drawing(
        "early_warning_traces",
        "What the monitors saw",
        "Each line is a run of the sweep from the step at which it has memorised to its event (test accuracy above "
        "0.5, dot) or its end. Black: thresholds from all runs that never get there, and (dotted) from those of weight "
        "decay 1 alone; an alarm takes two evaluations above. Values above the axis are cut.",
        figure,
        tuple(trace.label for trace in traces),
        (),
    )


def _trace(panel: Axes, trace: Trace) -> None:
    for generalised, weight_decay, name, look in _MEMBERS:
        members = [c for c in trace.curves if (c.generalised, c.weight_decay) == (generalised, weight_decay)]
        for number, curve in enumerate(members):
            panel.plot(curve.steps, curve.values, label=name if number == 0 else None, **look)
            if generalised and len(curve.steps):
                panel.plot(curve.steps[-1], curve.values[-1], "o", color=look["color"], markersize=3)
    panel.axhline(trace.threshold, color=INK, linewidth=1, label="threshold, all runs")
    panel.axhline(trace.threshold_decayed, color=INK, linewidth=1, linestyle=":", label="threshold, weight decay 1")
    top = [trace.threshold, trace.threshold_decayed]
    top += [float(c.values.max()) for c in trace.curves if c.weight_decay == 1 and len(c.values)]
    panel.set_ylim(-0.03 * max(top), 1.12 * max(top) or 1.0)
    panel.set_title(trace.label.replace("_", " "))
    panel.set_xlabel("step")
