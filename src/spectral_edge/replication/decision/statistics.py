"""Statistics that only the paper's questions need: the script's peakedness, and the best of several bases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.bases import grouping
from spectral_edge.comparison import Concentration, Peakedness, VarianceShare
from spectral_edge.comparison.statistic import Statistic, Takes, of_direction
from spectral_edge.parameters import ParameterSubset
from spectral_edge.replication.claims.c09_sum_of_squares import BASES
from spectral_edge.replication.modes import Peak
from spectral_edge.replication.probes.cross_terms import CrossTermProbe, CrossTermStatistic, cross_gain
from spectral_edge.representation import head_purity
from spectral_edge.store import Inputs
from spectral_edge.store.claims import Definition
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = [
    "GAIN",
    "HEAD_PURITY",
    "PRINTED_R2",
    "LargestConcentration",
    "Measured",
    "ScriptPeakedness",
    "cross_term_statistics",
    "purity_of",
    "statistics_of",
]

_SCRIPT = ("head_purity", "peakedness:script", "peak:script")
_OURS = ("variance_share", "variance_share:pc1", "jaccard", "cross_gain:held_out")
_CONTROL = "output_discrete_log:add"


@dataclass(frozen=True)
class Measured:
    """What is measured of a response: a statistic, the basis it is taken in, and the inputs.

    Attributes:
        statistic: its name; ``peak`` and ``peak:script`` are the frequency of the others, not rows of their own.
        grouping: the basis.
        inputs: where the function is evaluated.
    """

    statistic: str
    grouping: str | None
    inputs: Inputs

    @property
    def is_peak(self) -> bool:
        """Whether it is the frequency of a spectrum."""
        return self.statistic in ("peak", "peak:script")

    @property
    def spectrum(self) -> tuple[str | None, ...]:
        """Statistics of one spectrum agree in this."""
        kind = "script" if self.statistic.endswith(":script") else "groups"
        return (kind, self.grouping, self.inputs)

    @property
    def definition(self) -> Definition:
        """Whose definition it follows; docs/definitions.md has the formulas."""
        on_script_pairs = self.statistic == "concentration" and self.inputs == "all"
        if self.statistic in _SCRIPT or self.grouping == _CONTROL or on_script_pairs:
            return "script"
        return "ours" if self.statistic in _OURS else "text"

    def __str__(self) -> str:
        return f"{self.statistic} by {self.grouping} on {self.inputs}"


GAIN = Measured("cross_gain:held_out", "cross_terms", "test")
"""What products of additive and multiplicative features add to R², held out (C10)."""
PRINTED_R2 = Measured("r2:cross", "cross_terms", "test")
"""R² with these products in sample, which the paper prints."""


def cross_term_statistics(run: TrainedRun, pairs: NDArray[np.int64]) -> dict[Measured, CrossTermStatistic]:
    """Both numbers of C10 of a response to these pairs, from one regression."""
    probe = CrossTermProbe(pairs, np.arange(len(pairs)), run.task.p, run.training.seed)
    return {
        GAIN: CrossTermStatistic(probe, cross_gain, True),
        PRINTED_R2: CrossTermStatistic(probe, lambda r2: r2[3], False),
    }


class ScriptPeakedness(Peakedness):
    """Peakedness as the author's script computes it, and the frequency of its peak."""

    name: ClassVar[str] = "peakedness:script"

    def peak(self, response: Tensor) -> float:
        """ω of the largest power."""
        return float(self.power(self.profile(response))[0].argmax() + 1)


@dataclass(frozen=True, eq=False, repr=False)
class LargestConcentration:
    """The largest Fourier concentration among several bases (C9)."""

    bases: Sequence[Concentration]

    name: ClassVar[str] = "largest concentration of five bases"
    takes: ClassVar[Takes] = "response"

    def __call__(self, response: Tensor) -> float:
        """max F over the bases."""
        return max(basis(response) for basis in self.bases)

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Exchange whole groups, in each basis by itself."""
        permuted = [basis.permute_labels(generator) for basis in self.bases]
        return lambda response: max(basis(response) for basis in permuted)


HEAD_PURITY = Measured("head_purity", None, "all")
"""Of a direction itself."""


def purity_of(parameters: ParameterSubset) -> Statistic:
    """The largest share of a direction's squared norm in one layer's head (C3)."""
    return of_direction(lambda v: float(head_purity(v[None], parameters)))


def statistics_of(run: TrainedRun, pairs: NDArray[np.int64], *, script: bool) -> dict[Measured, Any]:
    """What is measured of a response to these pairs, by the run's operation.

    Args:
        run: of one operation.
        pairs: (N, 2).
        script: the script's peakedness by sum (C4) as well.
    """
    name, p = run.task.name, run.task.p
    found: dict[Measured, Any] = {}

    def labels(basis: str, inputs: Inputs) -> tuple[NDArray[np.int64], int]:
        q = grouping(basis, p)
        own = q(pairs)
        return (np.where(pairs[:, 0] == pairs[:, 1], -1, own) if inputs == "test_off_diagonal" else own), q.order

    bases = BASES if name == "x2_y2" else (BASIS[name], *([_CONTROL] if name == "add" else []))
    if name == "mul":
        bases = (*bases, "output:mul")
    inputs: Inputs
    for inputs in ("test", "test_off_diagonal"):
        for basis in bases:
            given = labels(basis, inputs)
            found[Measured("concentration", basis, inputs)] = Concentration(*given)
            found[Measured("peak", basis, inputs)] = Peak(*given)
        if name == "x2_y2":
            several = [found[Measured("concentration", basis, inputs)] for basis in bases]
            found[Measured(LargestConcentration.name, None, inputs)] = LargestConcentration(several)
        own = labels(BASIS[name], inputs)
        found[Measured("variance_share:pc1", BASIS[name], inputs)] = VarianceShare(*own, 1)
        found[Measured("variance_share", BASIS[name], inputs)] = VarianceShare(*own, None)
    if script:
        peakedness = ScriptPeakedness(*labels("sum", "test"))
        found[Measured(ScriptPeakedness.name, "sum", "test")] = peakedness
        found[Measured("peak:script", "sum", "test")] = peakedness.peak
    return found
