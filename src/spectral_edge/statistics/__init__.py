"""Statistics of functional modes and of runs, and the nulls they are held against.

Takes arrays of values and labels; knows nothing of models or of what the labels mean.
"""

from spectral_edge.statistics.agreement import centred_ranks, circular_shift_pvalue, rank_correlation
from spectral_edge.statistics.concentration import FourierProfile, expected_concentration, fourier_profile
from spectral_edge.statistics.discrimination import auc, auc_interval, roc_curve
from spectral_edge.statistics.early_warning import (
    alarm_level,
    alarm_threshold,
    fall_from_maximum,
    first_alarm,
    rise_from_minimum,
)
from spectral_edge.statistics.intervals import combine_pvalues, mean_interval, proportion_interval
from spectral_edge.statistics.nulls import (
    NullDistribution,
    adjust,
    random_directions,
    rarity_pvalue,
    regrouped,
)
from spectral_edge.statistics.partition import Partition, partition
from spectral_edge.statistics.reliability import intraclass_correlation, intraclass_interval, within_and_between

__all__ = [  # noqa: RUF022 - a table of contents, in the order of reading
    # the statistic
    "FourierProfile",
    "fourier_profile",
    "expected_concentration",
    "partition",
    "Partition",
    # what chance gives
    "random_directions",
    "regrouped",
    # from draws to p-values
    "NullDistribution",
    "rarity_pvalue",
    "adjust",
    # from runs to one number
    "mean_interval",
    "proportion_interval",
    "combine_pvalues",
    # two kinds of runs told apart
    "roc_curve",
    "auc",
    "auc_interval",
    # the same measured again
    "intraclass_correlation",
    "intraclass_interval",
    "within_and_between",
    # two quantities that go together
    "rank_correlation",
    "centred_ranks",
    "circular_shift_pvalue",
    # alarms that use only the past
    "fall_from_maximum",
    "rise_from_minimum",
    "first_alarm",
    "alarm_level",
    "alarm_threshold",
]
