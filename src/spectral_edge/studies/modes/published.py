"""The table of what is measured for each claim, beside the paper's numbers (seed 42)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from spectral_edge.store import Checkpoint, Inputs
from spectral_edge.subjects import BASIS

__all__ = ["MEASUREMENTS", "Measurement", "measurements_for"]


@dataclass(frozen=True)
class Measurement:
    """One number to measure: which statistic, of which direction, where, and what the paper prints for it.

    Attributes:
        claim: C3 … C14.
        task: the operation.
        direction: ``v3``; ``v1:PC1`` (scores on the first principal component of the response on all inputs); a mixture
            ``v1+v2``; ``mean(v1..v3)``; or ``best(v1..v3)``.
        statistic: as in ``claims.json``.
        grouping: the basis; for ``share:*`` the coordinates of the 2-D spectrum.
        published: the paper's number, ``None`` where it prints none.
        upper_bound: whether the paper prints it as "at most".
        peak: the paper's frequency.
        inputs: held-out pairs, as published, or the whole domain, or held-out pairs without a = b.
        checkpoint: name of the step.
        alternative: the direction the claim points in: ``greater`` than a null direction, or ``less``.
    """

    claim: str
    task: str
    direction: str
    statistic: str
    grouping: str | None = None
    published: float | None = None
    peak: int | None = None
    inputs: Inputs = "test"
    checkpoint: Checkpoint = "stop"
    upper_bound: bool = False
    alternative: Literal["greater", "less"] = "greater"

    @property
    def n_directions(self) -> int:
        """How many edge directions must be known for this number."""
        return max(int(k) for k in re.findall(r"v(\d+)", self.direction))


_EDGE = ("v1", "v2", "v3")
_BULK = ("v4", "v5", "v6", "v7", "v8")
_FURTHER_COMPONENTS = ("v1:PC2", "v1:PC3")
_FIRST_COMPONENTS = ("v1:PC1", "v1:PC2")
_MIXTURES = ("v1+v2", "v1+v3", "v2+v3", "v1+v2+v3")
# The discrete log of the output is the radial Gaussian basis: dlog(a + ib) + dlog(a - ib) = dlog(a^2 + b^2).
_X2_Y2_BASES = ("sum", "discrete_log", "output:x2_y2", "gaussian_radial", "gaussian_angular")
_PHASES: tuple[Checkpoint, ...] = ("early", "memorisation", "transition", "stop")
_M = Measurement
_F, _SHARE, _RANK = "concentration", "variance_share", "effective_rank"


def _head_purity() -> list[Measurement]:
    return [_M("C3", task, v, "head_purity", published=0.14) for task in BASIS for v in _EDGE]


def _activation_shape() -> list[Measurement]:
    at_transition = _M("C4", "add", "v1", "peakedness", "sum", 32.8, 25, checkpoint="transition")
    ranks = [
        _M("C4", "add", v, _RANK, published=40, inputs="all", checkpoint=checkpoint)
        for checkpoint in ("transition", "stop")
        for v in _EDGE
    ]
    component = _M("C4", "add", "v1:PC1", "peakedness", "sum", None, None, checkpoint="transition")
    return [at_transition, component, *ranks]


def _addition() -> list[Measurement]:
    published = {"v1": (0.33, 26), "v2": (0.16, 26), "v3": (0.40, 25), "v4": (0.18, 8), "v5": (0.12, 26)}
    rows = [_M("C6", "add", v, _F, "sum", *published.get(v, (None, None))) for v in _EDGE + _BULK]
    rows += [_M("C6", "add", "v1:PC1", _F, "sum", 0.67, 26)]
    rows += [_M("C6", "add", pc, _F, "sum") for pc in _FURTHER_COMPONENTS]
    rows += [
        _M("C6", "add", "mean(v1..v3)", _F, "sum", 0.29),
        _M("C6", "add", "mean(v4..v8)", _F, "sum", 0.18),
    ]
    rows += [_M("C6", "add", v, _SHARE, "sum") for v in _EDGE]
    rows += [_M("C6", "add", v, "share:sum", "additive", None, 26 if v == "v1" else None, "all") for v in _EDGE]
    lines = ("share:sum", "share:difference")
    rows += [_M("C6", "add", v, "share:difference", "additive", inputs="all") for v in _EDGE]
    rows += [_M("C6", "add", v, line, "additive", inputs="all_diagonal_averaged") for line in lines for v in _EDGE]
    rows += [_M("C6", "add", pc, _SHARE, "sum") for pc in _FIRST_COMPONENTS]
    return rows


def _multiplication() -> list[Measurement]:
    rows = [_M("C7", "mul", "v1", _F, "output:mul", 0.054)]
    rows += [_M("C7", "mul", v, _F, "output:mul", 0.11, upper_bound=True) for v in ("v2", "v3")]
    rows += [_M("C7", "mul", v, _F, "discrete_log", 0.32 if v == "v1" else None, 29) for v in _EDGE]
    rows += [_M("C7", "mul", v, _F, "discrete_log") for v in _BULK]
    rows += [_M("C7", "mul", v, _F, "discrete_log", inputs="test_off_diagonal") for v in _EDGE]
    rows += [_M("C7", "mul", pc, _F, "discrete_log") for pc in ("v1:PC1", *_FURTHER_COMPONENTS)]
    rows += [_M("C7", "mul", v, _F, "discrete_log_difference") for v in _EDGE]
    rows += [_M("C7", "mul", v, _SHARE, "discrete_log") for v in (*_EDGE, *_FIRST_COMPONENTS)]
    rows += [_M("C7", "mul", v, "share:sum", "discrete_log", inputs="all") for v in _EDGE]
    rows += [_M("C7", "add", v, _F, q) for q in ("sum", "discrete_log") for v in _EDGE]
    return rows


def _subtraction() -> list[Measurement]:
    peaks = {"v1": 16, "v2": 6, "v3": 32}
    rows = [_M("C8", "sub", v, _F, "difference", None, peaks.get(v)) for v in _EDGE + _BULK]
    rows += [_M("C8", "sub", "mean(v1..v3)", _F, "difference", 0.16)]
    rows += [_M("C8", "sub", "mean(v4..v8)", _F, "difference", 0.16)]
    rows += [_M("C8", "sub", "best(v1..v3)", _F, "difference", 0.19)]
    rows += [_M("C8", "sub", pc, _F, "difference") for pc in ("v1:PC1", *_FURTHER_COMPONENTS)]
    rows += [_M("C8", "sub", v, _SHARE, "difference") for v in (*_EDGE, *_FIRST_COMPONENTS)]
    rows += [_M("C8", "sub", v, "share:difference", "additive", inputs="all") for v in _EDGE]
    return rows


def _sum_of_squares() -> list[Measurement]:
    # The paper prints a range, .10 to .15, for all bases and directions: its upper end is the claim.
    rows = [_M("C9", "x2_y2", v, _F, q, 0.15, upper_bound=True) for q in _X2_Y2_BASES for v in _EDGE]
    rows += [_M("C9", "x2_y2", v, "share:other", "gaussian", 0.97 if v == "v1" else None, inputs="all") for v in _EDGE]
    rows += [_M("C9", "x2_y2", v, _SHARE, "output:x2_y2") for v in _EDGE]
    return rows


def _mixtures() -> list[Measurement]:
    return [
        _M("C13", task, mixture, statistic, basis)
        for task, basis in BASIS.items()
        for mixture in _MIXTURES
        for statistic in (_F, "jaccard")
    ]


def _summary() -> list[Measurement]:
    published = {"add": (0.40, 25), "mul": (0.32, 29), "sub": (0.19, None)}
    rows = [_M("C14", t, "best(v1..v3)", _F, BASIS[t], *published[t]) for t in ("add", "mul", "sub")]
    return [*rows, _M("C14", "x2_y2", "best(v1..v3)", "r2", "cross_terms", 0.16)]


MEASUREMENTS: tuple[Measurement, ...] = (
    *_head_purity(),
    *_activation_shape(),
    *_addition(),
    *_multiplication(),
    *_subtraction(),
    *_sum_of_squares(),
    *_mixtures(),
    *_summary(),
)


def measurements_for(task: str, phases: Literal["published", "all"] = "published") -> list[Measurement]:
    """Everything that is measured on runs of ``task``, in the order of the claims.

    With ``phases="all"`` every line stands at the transition and at the stop, and the shape of the responses (C4) also
    early and at memorisation and for every task; a line keeps its published number at the paper's own checkpoint.
    """
    published = [m for m in MEASUREMENTS if m.task == task]
    if phases == "published" or not published:
        return published
    lines = [m for m in published if m.claim != "C4"]
    elsewhere = [replace(m, checkpoint="transition", published=None, upper_bound=False, peak=None) for m in lines]
    shape = [_M("C4", task, "v1", "peakedness", BASIS[task]), _M("C4", task, "v1:PC1", "peakedness", BASIS[task])]
    shape += [_M("C4", task, v, _RANK, inputs="all") for v in _EDGE]
    everywhere = [replace(m, checkpoint=phase) for phase in _PHASES for m in shape]
    known = [m for m in published if m.claim == "C4"]
    return [*known, *(m for m in everywhere if not any(_same_line(m, k) for k in known)), *lines, *elsewhere]


def _same_line(left: Measurement, right: Measurement) -> bool:
    return replace(left, published=None, peak=None) == replace(right, published=None, peak=None)
