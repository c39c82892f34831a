"""Alarms that use only the past: how far a quantity has moved since it was first seen, and when that is too far."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.statistics.samples import as_sample

__all__ = ["alarm_level", "alarm_threshold", "fall_from_maximum", "first_alarm", "rise_from_minimum"]

Floats = NDArray[np.float64]


def fall_from_maximum(values: ArrayLike) -> Floats:
    """Return log(max_{s <= t} x_s / x_t) for every t: how far x has fallen from the largest value so far.

    At least 0, and 0 whenever x is at its maximum. Causal: entry t is a function of x_1 … x_t. Without scale: the same
    for c x, c > 0, so runs of different size need no further normalisation than their own past. Source: ours.

    Args:
        values: (T,) finite numbers above 0, in order of time, T at least 1.

    Returns:
        (T,) float64.

    Raises:
        ValueError: The shape is another, or a value is not finite or not above 0: it has no logarithm.

    >>> fall_from_maximum([1.0, 4.0, 2.0, 8.0]).round(3).tolist()
    [0.0, 0.0, 0.693, 0.0]
    """
    logs = np.log(_positive(values))
    return np.maximum.accumulate(logs) - logs


def rise_from_minimum(values: ArrayLike) -> Floats:
    """Return log(x_t / min_{s <= t} x_s) for every t: how far x has risen from the smallest value so far.

    The fall of 1/x; see :func:`fall_from_maximum` for its properties, arguments and errors.

    >>> rise_from_minimum([4.0, 2.0, 4.0, 1.0]).round(3).tolist()
    [0.0, 0.0, 0.693, 0.0]
    """
    logs = np.log(_positive(values))
    return logs - np.minimum.accumulate(logs)


def first_alarm(values: ArrayLike, threshold: float, patience: int = 1) -> int | None:
    """Return the first t at which the last ``patience`` values x_{t-m+1} … x_t are all above the threshold.

    The alarm is raised at the *last* of these values, when it is known, not at the first. Causal: whether there is an
    alarm at t or before does not depend on what comes after t. Source: ours.

    Args:
        values: (T,) finite numbers in order of time, T at least 1.
        threshold: A finite number; a value that equals it is not above it.
        patience: m, at least 1. With more than T none can be raised.

    Returns:
        The index t, from 0, or None.

    Raises:
        ValueError: ``values``, ``threshold`` or ``patience`` is out of range.

    >>> first_alarm([0.0, 3.0, 0.0, 3.0, 3.0], threshold=1.0, patience=2)
    4
    """
    sustained = _sustained(values, patience)
    if not np.isfinite(threshold):
        raise ValueError(f"threshold = {threshold} is not finite")
    above = np.flatnonzero(sustained > threshold)
    return int(above[0]) if above.size else None


def alarm_level(values: ArrayLike, patience: int = 1) -> float:
    """Return max_t min(x_{t-m+1} … x_t): the least threshold at which :func:`first_alarm` stays silent.

    ``first_alarm(values, h, m)`` is None exactly if h >= ``alarm_level(values, m)``.

    Args:
        values: (T,) finite numbers in order of time, T at least 1.
        patience: m, at least 1.

    Returns:
        The level; -inf if T < m, since no threshold would be passed.

    Raises:
        ValueError: ``values`` or ``patience`` is out of range.

    >>> alarm_level([0.0, 3.0, 1.0, 2.0], patience=2)
    1.0
    """
    return float(_sustained(values, patience).max(initial=-np.inf))


def alarm_threshold(levels: Sequence[float], allowed: int = 0) -> float:
    """Return the k+1 largest of n alarm levels: the most sensitive threshold with at most k false alarms among them.

    If the level of a new run that should not alarm is exchangeable with these n, whatever their law, it exceeds the
    threshold with probability (k + 1)/(n + 1) at most, exactly that without ties: its rank among n + 1 is uniform.
    Nothing is assumed of runs that should alarm, and their levels are not asked for. Runs that share a condition are
    not exchangeable with runs of another, so count on more there. Source: conformal prediction, Vovk et al. 2005; ours.

    Args:
        levels: :func:`alarm_level` of n runs that should not alarm; n above ``allowed``.
        allowed: k, at least 0.

    Returns:
        The threshold, one of the levels.

    Raises:
        ValueError: There are too few levels, one is NaN or infinite, or ``allowed`` is negative.

    >>> alarm_threshold([0.2, 0.9, 0.5]), alarm_threshold([0.2, 0.9, 0.5], allowed=1)
    (0.9, 0.5)
    """
    k = operator.index(allowed)
    if k < 0:
        raise ValueError(f"allowed = {allowed} false alarms; need at least 0")
    return float(np.sort(as_sample(levels, "levels", least=k + 1))[-1 - k])


def _positive(values: ArrayLike) -> Floats:
    sample = as_sample(values, "values")
    refused = np.flatnonzero(sample <= 0)
    if refused.size:
        raise ValueError(f"values[{refused[0]}] is {sample[refused[0]]}: only a number above 0 has a logarithm")
    return sample


def _sustained(values: ArrayLike, patience: int) -> Floats:
    """The smallest of the last m values for every t; -inf while there are fewer."""
    m, sample = operator.index(patience), as_sample(values, "values")
    if m < 1:
        raise ValueError(f"patience = {patience}; need at least 1 value to alarm on")
    least = np.full(len(sample), -np.inf)
    if len(sample) >= m:
        least[m - 1 :] = np.lib.stride_tricks.sliding_window_view(sample, m).min(axis=1)
    return least
