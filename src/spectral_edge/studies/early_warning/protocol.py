"""Early warning of generalisation: what is watched, when it alarms, how thresholds are chosen, and who judges them.

All of this was written down and committed before any statistic below was computed on any run. What was known by then:
the results on C1 and C2 (in runs of weight decay 1 that never generalise g23 declines as well; sigma_1/sigma_2 jumps
in most runs that do; the decline of the weight norm tells all of them apart at equal steps), the steps at which runs
generalise, and that some runs of x2_y2 do so before a window of ten updates 100 steps apart fits.

**Runs.** The sweep of the paper: 6 operations × weight decay 1 and 0 × seeds 42, 137, 2024, single tasks on all
residues, 5 000 steps at least. The unit is a run. A second set, looked at only with everything fixed: the runs of
basis discovery that are not in the sweep, with thresholds from all three seeds of the sweep.

**Event.** The first evaluation (every 100 steps) with test accuracy above 0.5, the ``transition`` of all other
studies; the grok step (first of three evaluations at 0.98 or more) is stored beside it. A run without an event
within its budget does not generalise: *any* alarm in it is false, at whatever step.

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
conditions (operation and weight decay): at best 1/495 over the sweep and 1/15 within weight decay 1.

**Variants** that decide nothing: one and three evaluations in a row; armed from the first evaluation; runs that do not
generalise watched only until the latest event among the training runs.
"""
