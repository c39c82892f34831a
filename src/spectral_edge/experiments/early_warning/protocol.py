"""Early warning of generalisation: what is watched, when it alarms, how thresholds are chosen, and who judges them.

All of this but the second event was written down and committed before any statistic below was computed on any run.
What was known by then:
the results on C1 and C2 (in runs of weight decay 1 that never generalise g23 declines as well; sigma_1/sigma_2 jumps
in most runs that do; the decline of the weight norm tells all of them apart at equal steps), the steps at which runs
generalise, and that some runs of x2_y2 do so before a window of ten updates 100 steps apart fits.

**Runs.** The sweep of the paper: 6 operations × weight decay 1 and 0 × seeds 42, 137, 2024, single tasks on all
residues, 5 000 steps at least. The unit is a run. A second set, looked at only with everything fixed: the runs of
basis discovery that are not in the sweep, with thresholds from all three seeds of the sweep.

**Event.** The first evaluation (every 100 steps) with test accuracy above 0.5, the ``transition`` of all other
studies; the grok step (first of three evaluations at 0.98 or more) is stored beside it. A run without an event
within its budget does not generalise: *any* alarm in it is false, at whatever step.

**Second event**, added when the steps of events had been seen and no statistic: the grok step itself. x2_y2 passes 0.5
at step 700 with weight decay 1, long before it groks, and between 2 500 and 4 700 without weight decay, where it never
groks: it is symmetric in a and b, so a model that has learned only that knows many held-out pairs. Everything is
reported for both events.

**Armed.** A monitor is armed at the first evaluation with train accuracy of 0.9 or more: before a run has memorised
there is nothing to warn of, and every statistic below moves while it memorises. Everything before that is forgotten,
running extrema too.

**Statistics**, all functions of the past alone, and at least 0. With M_t the largest and m_t the smallest value of x
from arming to t, ``fall`` is log(M_t / x_t) and ``rise`` is log(x_t / m_t). The alarm is always for large values:

* spectral, of the uncentred window of updates that *ends* at t, each at stride 1 (W = 20, recorded while training)
  and at stride 100 (W = 10, the published window of g23, from snapshots): fall of g23 = sigma_2² - sigma_3²; rise of
  sigma_1/sigma_2; fall of the effective rank exp H(sigma²/Σsigma²); fall of the edge position k*. The directions are
  those of the paper: g23 declines, and one direction takes over;
* baselines that need no spectrum: fall of the test loss, of the train loss, of the norm of all weights, of the
  mean squared norm of an update (both strides), and the test and train accuracy themselves;
* clocks: the step, and the steps since arming; and the configuration: weight decay itself.

**Alarm.** The first evaluation at which the statistic has been above its threshold at two evaluations in a row; it is
raised at the second. A hit is an alarm before the event, its lead is event minus alarm; an alarm at the event or later
warns of nothing and the run is missed.

**Threshold.** Of the training runs that do not generalise, the largest value that would just have raised an alarm: the
most sensitive threshold without a false alarm among them. If a new run is exchangeable with these n, a false alarm has
probability 1/(n + 1) at most, whatever the statistic. Runs that generalise play no part, so no lead is tuned.

**Judging.** One seed is left out at a time, and its runs are judged by thresholds of the two others; counts are pooled
over the three. The same within weight decay 1 alone, thresholds included, since weight decay by itself predicts much
of the sweep; and with one operation left out at a time, since seeds of one operation are nearly replicas.
Statistics are ranked by share of hits minus share of false alarms, ties by median lead. Taking the best of eight
spectral statistics from the table would be tuning: ``chosen spectral`` and ``chosen baseline`` are those with most hits
on the training runs (ties: larger median lead there, then order of the list), judged on the runs left out.

**Clocks.** A lead says little if any constant step would give it. Beside each statistic stands a clock set to the
median step of its alarms on the training runs, which knows nothing of a run: its leads, and the runs it warns of. For
comparable steps, the area under the ROC curve of what the statistic had reached just before the event, for runs that do
not generalise before the event of their nearest relative that does, and a p-value from exchanging labels of whole
conditions (operation and weight decay): at best 1/792 over the sweep for the first event, which five of twelve
conditions have, 1/495 for the second, and 1/15 within weight decay 1.

**Variants** that decide nothing: one and three evaluations in a row; armed from the first evaluation; runs that do not
generalise watched only until the latest event among the training runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spectral_edge.store import Armed, Event, StatisticKind, Watched

__all__ = ["GROK", "VARIANTS", "Statistic", "WarningConfig", "statistics_of"]


class WarningConfig(BaseModel):
    """What is fixed of an alarm; the defaults are those that decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Event = "transition"
    """What is warned of: test accuracy above 0.5, or the first of the evaluations that meet the stopping rule."""
    patience: int = Field(2, ge=1)
    """Evaluations in a row above the threshold that raise an alarm."""
    armed: Armed = "memorised"
    """When watching begins: at the first evaluation with train accuracy of 0.9 or more, or at the first at all."""
    watched: Watched = "budget"
    """How long runs that do not generalise are watched: to the end, or to the latest event among the training runs."""
    allowed: int = Field(0, ge=0)
    """False alarms that a threshold may raise among the training runs."""
    memorised_accuracy: float = Field(0.9, gt=0, le=1)
    """Train accuracy from which a run has memorised."""
    event_accuracy: float = Field(0.5, gt=0, lt=1)
    """Test accuracy above which a run has passed its transition."""
    step_window: int = Field(20, ge=4)
    """W of windows of single steps."""
    window: int = Field(10, ge=4)
    """W of windows of updates ``stride`` steps apart; 10 is that of the published g23."""
    stride: int = Field(100, ge=2)
    """Steps between snapshots that make an update."""


GROK = "event: grok step"
"""The variant with the second event."""
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    GROK: {"event": "grok"},
    "one evaluation": {"patience": 1},
    "three evaluations": {"patience": 3},
    "armed from the start": {"armed": "start"},
    "comparable steps": {"watched": "comparable"},
}
"""Settings beside the default, by name: what each changes of it. All but the second event decide nothing."""


@dataclass(frozen=True)
class Statistic:
    """One number over training that is large if a run is about to generalise.

    Attributes:
        name: what it is called in rows.
        kind: whether it needs a spectrum.
        quantity: what it is made of; a key of :attr:`~.series.WatchedRun.quantities`, or a clock.
        move: fall from the maximum since arming, rise from the minimum, or the value itself.
        stride: optimizer steps per update, ``None`` if it is not made of updates.
        window: updates in a window.
    """

    name: str
    kind: StatisticKind
    quantity: str
    move: Literal["fall", "rise", "level"]
    stride: int | None = None
    window: int | None = None

    @property
    def key(self) -> tuple[str, int | None]:
        """The quantity and its stride."""
        return self.quantity, self.stride


_OF_UPDATES: tuple[tuple[str, StatisticKind, str, Literal["fall", "rise"]], ...] = (
    ("g23_fall", "spectral", "g23", "fall"),
    ("gap_ratio_rise", "spectral", "gap_ratio", "rise"),
    ("effective_rank_fall", "spectral", "effective_rank", "fall"),
    ("edge_position_fall", "spectral", "edge_position", "fall"),
    ("update_norm_fall", "baseline", "update_norm", "fall"),
)


def statistics_of(config: WarningConfig) -> list[Statistic]:
    """Every statistic, spectral ones first."""
    settings = ((1, config.step_window), (config.stride, config.window))
    of_updates = [Statistic(*entry, *setting) for setting in settings for entry in _OF_UPDATES]
    others = [
        Statistic("test_loss_fall", "baseline", "test_loss", "fall"),
        Statistic("train_loss_fall", "baseline", "train_loss", "fall"),
        Statistic("weight_norm_fall", "baseline", "weight_norm", "fall"),
        Statistic("test_accuracy", "baseline", "test_accuracy", "level"),
        Statistic("train_accuracy", "baseline", "train_accuracy", "level"),
        Statistic("step", "clock", "step", "level"),
        Statistic("steps_since_armed", "clock", "steps_since_armed", "level"),
        Statistic("weight_decay", "configuration", "weight_decay", "level"),
    ]
    return sorted([*of_updates, *others], key=lambda statistic: statistic.kind != "spectral")
