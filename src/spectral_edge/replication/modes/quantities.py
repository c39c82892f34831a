"""The statistics behind the lines of the claims, as ``compare`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.bases import CharacterSpectrum, grouping
from spectral_edge.comparison import CharacterShare, Concentration, CyclicStatistic, EffectiveRank, VarianceShare
from spectral_edge.comparison.features import computed_once
from spectral_edge.comparison.statistic import of_direction, of_set
from spectral_edge.grokking import ModularTask
from spectral_edge.parameters import ParameterSubset
from spectral_edge.replication.claims.c13_mixtures import MIXTURES
from spectral_edge.replication.claims.line import ClaimLine, Direction
from spectral_edge.representation import RidgeProbe, cross_term_features, head_purity
from spectral_edge.statistics import FourierProfile
from spectral_edge.store import Inputs
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Peak", "Quantities", "Quantity", "quantities_of", "strongest", "strongest_on"]

_TOP = 3
_SPECTRAL = ("concentration", "peakedness", "variance_share")


@dataclass(frozen=True)
class Quantity:
    """What is computed of one response: a line without its direction.

    Attributes:
        statistic: as in ``numbers.json``; or ``peak``, ``peak:sum``, ``peak:difference``, the frequency.
        grouping: as in ``numbers.json``.
        inputs: as in ``numbers.json``.
        component: of the response, whose scores are read.
        mixture: whose components' peaks are asked for, for ``jaccard``.
    """

    statistic: str
    grouping: str | None
    inputs: Inputs
    component: int | None = None
    mixture: Direction | None = None

    @classmethod
    def of(cls, line: ClaimLine) -> Quantity:
        """What a line measures; where it looks at several bases, that of the first."""
        mixture = line.direction if line.statistic == "jaccard" else None
        inputs = "all" if line.statistic in ("head_purity", "effective_rank", "r2") else line.inputs
        return cls(line.statistic, line.grouping, inputs, line.direction.component, mixture)

    @property
    def peak(self) -> Quantity | None:
        """The frequency at which the same spectrum has its maximum; ``None`` where there is none."""
        if self.statistic in _SPECTRAL:
            return replace(self, statistic="peak")
        line = self.statistic.removeprefix("share:")
        return replace(self, statistic=f"peak:{line}") if line in ("sum", "difference") else None

    def __str__(self) -> str:
        of = "" if self.component is None else f" of component {self.component}"
        return f"{self.statistic}{of} by {self.grouping} on {self.inputs}" + (
            f" of {self.mixture}" * bool(self.mixture)
        )


def quantities_of(lines: Sequence[ClaimLine]) -> list[Quantity]:
    """Everything that the lines ask for, each once, and the peaks of the spectra among them."""
    found: dict[Quantity, None] = {}
    for line in lines:
        quantity = Quantity.of(line)
        found |= dict.fromkeys(q for q in (quantity, quantity.peak) if q is not None)
    return list(found)


@dataclass(frozen=True, eq=False)
class Quantities:
    """Statistics on the pairs of one run.

    Args:
        run: whose task and split.
        parameters: layout of the directions.
    """

    run: TrainedRun
    parameters: ParameterSubset

    def statistics(self, quantities: Sequence[Quantity]) -> dict[str, Any]:
        """For ``compare``, by name."""
        return {str(quantity): self.statistic(quantity) for quantity in quantities}

    def statistic(self, quantity: Quantity) -> Any:
        """The statistic of a quantity.

        Raises:
            ValueError: an unknown statistic.
        """
        name, component = quantity.statistic, quantity.component
        if name == "head_purity":
            return of_direction(lambda v: float(head_purity(v[None], self.parameters)), name)
        if name == "effective_rank":
            return EffectiveRank()
        if name == "r2":
            return _CrossTerms(*self._probe)
        if name == "jaccard":
            return self._overlap(quantity)
        if name.startswith(("share:", "peak:")):
            kind = _CharacterPeak if name.startswith("peak:") else CharacterShare
            diagonal = "averaged" if quantity.inputs == "all_diagonal_averaged" else "kept"
            return kind(self.task.pairs, self.task.p, name.split(":")[1], quantity.grouping, diagonal)  # type: ignore[arg-type]
        kinds = {
            "concentration": Concentration,
            "variance_share": VarianceShare,
            "peakedness": _PowerPeakedness,
            "peak": Peak,
        }
        if name not in kinds:
            raise ValueError(f"quantities: unknown statistic {name!r}")
        labels, order = self.labels(_required(quantity.grouping), quantity.inputs)
        return kinds[name](labels, order, component)

    @property
    def task(self) -> ModularTask:
        """The operation."""
        return self.run.task

    @cached_property
    def _labels(self) -> Callable[[str, Inputs], tuple[np.ndarray, int]]:
        return cache(self._labelled)

    def labels(self, basis: str, inputs: Inputs) -> tuple[np.ndarray, int]:
        """(N,) labels of all pairs, -1 outside the asked inputs, and the order; the same array for the same basis."""
        return self._labels(basis, inputs)

    def _labelled(self, basis: str, inputs: Inputs) -> tuple[np.ndarray, int]:
        q, pairs = grouping(basis, self.task.p), self.task.pairs
        wanted = np.ones(len(pairs), dtype=bool)
        if inputs in ("test", "test_off_diagonal"):
            wanted[:] = False
            wanted[self.test] = True
        elif inputs != "all":
            raise ValueError(f"quantities: group averages are not defined on inputs {inputs!r}")
        if inputs == "test_off_diagonal":
            wanted &= pairs[:, 0] != pairs[:, 1]
        return np.where(wanted, q(pairs), -1), q.order

    @cached_property
    def test(self) -> np.ndarray:
        """Indices of held-out pairs."""
        return self.run.split.test

    @cached_property
    def _probe(self) -> tuple[RidgeProbe, Tensor]:
        """The probe of the claim on cross terms and the (N,) mask of its inputs: held-out pairs without their zeros."""
        pairs = self.task.pairs
        inputs = np.zeros(len(pairs), dtype=bool)
        inputs[self.test] = (pairs[self.test] != 0).all(axis=1)
        return RidgeProbe(cross_term_features(pairs[inputs], self.task.p)), torch.from_numpy(inputs)

    def _overlap(self, quantity: Quantity) -> Any:
        labels, order = self.labels(_required(quantity.grouping), quantity.inputs)
        mixture = _required(quantity.mixture)
        overlap = _Overlap(Concentration(labels, order), tuple(i - 1 for i in mixture.members))
        return of_set(overlap, str(quantity), size=max(m for v in MIXTURES for m in v.members), relative_signs=True)


class Peak(CyclicStatistic):
    """The frequency of largest power; a category, so its mean over draws means nothing."""

    name: ClassVar[str] = "peak"

    def of_profile(self, profile: FourierProfile) -> NDArray[np.float64]:
        """ω, from 1."""
        return profile.peak.astype(float)


class _PowerPeakedness(CyclicStatistic):
    """Maximum over mean of the power of group means: F times the number of frequencies. Source: the text of C4."""

    name: ClassVar[str] = "peakedness"

    def of_profile(self, profile: FourierProfile) -> NDArray[np.float64]:
        return profile.peakedness


class _CharacterPeak(CharacterShare):
    """ω of the strongest character (ω, ±ω) on the line."""

    def of_spectrum(self, spectrum: CharacterSpectrum) -> float:
        return float(strongest_on(self.line, spectrum.power[0])[0][0])

    def of_lines(
        self, on_sum: NDArray[np.float64], on_difference: NDArray[np.float64], spectrum: CharacterSpectrum
    ) -> NDArray[np.float64]:
        power = on_sum if self.line == "sum" else on_difference
        return power[:, : len(spectrum.power[0]) // 2].argmax(axis=1) + 1.0


@dataclass(frozen=True, eq=False)
class _CrossTerms:
    """R² in sample of a ridge regression of the response on sum, discrete-log and cross-term features (C10)."""

    probe: RidgeProbe
    inputs: Tensor

    def __call__(self, response: Tensor) -> float:
        return float(self.probe.r2(response[None, self.inputs].cpu().numpy()).in_sample[0, 0])


@dataclass(frozen=True, eq=False)
class _Overlap:
    """Jaccard index of a mixture's strongest frequencies with the union of its components' strongest ones.

    |A ∩ B|/|A ∪ B|, A the mixture's strongest, B the components' strongest: first of each, then second of each, ….
    """

    statistic: CyclicStatistic
    members: tuple[int, ...]

    def __call__(self, responses: Tensor) -> float:
        mixed = responses[list(self.members)].sum(0)
        ours = set(strongest(self.statistic.profile(mixed)))
        components = [self._of_components(responses)[i] for i in self.members]
        ranked = [frequency for rank in zip(*components, strict=True) for frequency in rank]
        theirs = set(list(dict.fromkeys(ranked))[: len(ours)])
        return len(ours & theirs) / len(ours | theirs)

    def _of_components(self, responses: Tensor) -> list[list[int]]:
        key = ("strongest", id(self.statistic.labels))
        return computed_once(
            responses, key, lambda: ([strongest(self.statistic.profile(r)) for r in responses], self.statistic.labels)
        )[0]


def strongest(profile: FourierProfile) -> list[int]:
    """The three strongest frequencies of the first function, strongest first."""
    return profile.strongest(min(_TOP, profile.power.shape[1]))[0].tolist()


def strongest_on(line: str, power: np.ndarray) -> list[tuple[int, int]]:
    """The three strongest characters (w, w) or (w, -w) of a spectrum (M, M); none for other shares."""
    if line not in ("sum", "difference"):
        return []
    sign = 1 if line == "sum" else -1
    w = np.arange(1, len(power) // 2 + 1)
    order = np.argsort(-power[w, sign * w])[:_TOP]
    return [(int(w[i]), sign * int(w[i])) for i in order]


def _required(value: Any) -> Any:
    if value is None:
        raise ValueError("quantities: this statistic needs a grouping")
    return value
