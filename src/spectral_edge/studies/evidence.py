"""Statistics of edge directions beside the same statistics of their nulls, at one checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from spectral_edge.bases import CharacterSpectrum, CoordinateSystem, character_spectrum, grouping, to_grid
from spectral_edge.grokking import ModularTask
from spectral_edge.statistics import FourierProfile, NullDistribution, fourier_profile, permuted_profiles
from spectral_edge.store import Inputs, NullSummary, PeakNull
from spectral_edge.studies.measurement import Measured, mixture_names
from spectral_edge.studies.published import Measurement

__all__ = ["Evidence", "Value"]

_TOP = 3
Alternative = Literal["greater", "less"]
NullKind = Literal["random_directions", "input_permutation"]
Aggregate = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Value:
    """A measured number, its strongest frequencies, and its nulls."""

    measured: float
    top: list[int] | list[tuple[int, int]] | None
    null: NullSummary
    permutation_null: NullSummary | None
    peak_null: PeakNull | None


def _summarise(samples: np.ndarray, measured: float, kind: NullKind, alternative: Alternative) -> NullSummary:
    null = NullDistribution(samples, kind)
    return NullSummary(
        kind=kind,
        n=null.n,
        mean=null.mean,
        std=null.std,
        quantile95=null.quantile95,
        alternative=alternative,
        pvalue=null.pvalue(measured, alternative),
        pvalue_adjusted=None,
    )


@dataclass(frozen=True)
class Evidence:
    """Edge directions v_1 … v_k and random directions measured at one checkpoint of one run.

    Args:
        task: the operation; energies are in the order of its pairs.
        test: (N_test,) indices of held-out pairs.
        edge: measurements of v_1 … v_k.
        random: measurements of n random unit directions in the same subset at the same checkpoint.
        n_permutations: draws of the input-permutation null.
        seed: of the permutations.
    """

    task: ModularTask
    test: np.ndarray
    edge: Measured
    random: Measured
    n_permutations: int
    seed: int
    _profiles: dict[tuple[str, str, str], tuple[FourierProfile, FourierProfile]] = field(
        default_factory=dict, repr=False
    )

    def value(self, wanted: Measurement) -> Value:
        """Measure one line of the table of measurements.

        Raises:
            ValueError: an unknown statistic or direction.
        """
        statistic = wanted.statistic
        if statistic in ("head_purity", "effective_rank", "r2"):
            return self._scalar(wanted)
        if statistic.startswith("share:"):
            return self._share(wanted)
        if statistic == "jaccard":
            return self._jaccard(wanted)
        if statistic in ("concentration", "peakedness", "variance_share"):
            aggregated = re.fullmatch(r"(mean|best)\(v(\d+)\.\.v(\d+)\)", wanted.direction)
            return self._aggregate(wanted, *_parse(aggregated)) if aggregated else self._profile_value(wanted)
        raise ValueError(f"evidence: unknown statistic {statistic!r} in claim {wanted.claim}")

    def profiles(self, kind: str, basis: str, inputs: Inputs) -> tuple[FourierProfile, FourierProfile]:
        """Fourier profiles of all edge functions and all null functions of one kind, computed once.

        Args:
            kind: ``energy``, ``PC1`` or a mixture name.
            basis: name of a grouping.
            inputs: ``test``, ``all`` or ``test_off_diagonal``.
        """
        key = (kind, basis, inputs)
        if key not in self._profiles:
            q = grouping(basis, self.task.p)
            index = self._index(inputs)
            labels = q(self.task.pairs[index])
            edge, random = (values[:, index] for values in self._functions(kind))
            # A group may be empty by construction: no product of nonzero residues is 0.
            self._profiles[key] = (
                fourier_profile(edge, labels, q.order),
                fourier_profile(random, labels, q.order),
            )
        return self._profiles[key]

    def character(
        self, coordinates: CoordinateSystem, n_random: int | None = None
    ) -> tuple[CharacterSpectrum, CharacterSpectrum]:
        """Signed 2-D spectra of v_1 … v_3 and of the random directions on the whole domain."""
        grid = partial(to_grid, pairs=self.task.pairs, p=self.task.p, coordinates=coordinates)
        return character_spectrum(grid(self.edge.energy[:3])), character_spectrum(grid(self.random.energy[:n_random]))

    def _index(self, inputs: Inputs) -> np.ndarray:
        if inputs == "all":
            return np.arange(len(self.task.pairs))
        if inputs == "test":
            return self.test
        a, b = self.task.pairs[self.test].T
        return self.test[a != b]

    def _functions(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        if kind == "energy":
            return self.edge.energy, self.random.energy
        if kind == "PC1":
            return self.edge.first_component, self.random.first_component
        i = mixture_names().index(kind)
        return self.edge.mixtures[:1, i], self.random.mixtures[:, i]

    def _profile_value(self, wanted: Measurement) -> Value:
        kind, row = _locate(wanted.direction)
        basis = _required(wanted.grouping)
        edge, random = self.profiles(kind, basis, wanted.inputs)
        measured = float(getattr(edge, wanted.statistic)[row])
        peak = int(edge.peak[row])
        same = int((random.peak == peak).sum())
        return Value(
            measured,
            [int(w) for w in edge.strongest(_TOP)[row]],
            _summarise(getattr(random, wanted.statistic), measured, "random_directions", wanted.alternative),
            self._permuted(wanted, kind, row, basis, measured),
            PeakNull(
                kind="random_directions",
                n=len(random.peak),
                same=same,
                pvalue=(same + 1) / (len(random.peak) + 1),
            ),
        )

    def _permuted(self, wanted: Measurement, kind: str, row: int, basis: str, measured: float) -> NullSummary:
        q = grouping(basis, self.task.p)
        index = self._index(wanted.inputs)
        values = self._functions(kind)[0][row, index]
        null = permuted_profiles(values, q(self.task.pairs[index]), q.order, self.n_permutations, self.seed)
        if wanted.statistic == "peakedness":  # max/mean is F times the number of frequencies
            samples = null.concentration[0] * (q.order // 2)
        else:
            samples = getattr(null, wanted.statistic)[0]
        return _summarise(samples, measured, "input_permutation", wanted.alternative)

    def _aggregate(self, wanted: Measurement, aggregate: Aggregate, first: int, last: int) -> Value:
        edge, random = self.profiles("energy", _required(wanted.grouping), wanted.inputs)
        of_edge = getattr(edge, wanted.statistic)[first - 1 : last]
        measured = aggregate(of_edge)
        samples = _grouped(getattr(random, wanted.statistic), last - first + 1, aggregate)
        best = first - 1 + int(np.argmax(of_edge)) if aggregate is np.max else None
        top = None if best is None else [int(w) for w in edge.strongest(_TOP)[best]]
        return Value(measured, top, _summarise(samples, measured, "random_directions", wanted.alternative), None, None)

    def _scalar(self, wanted: Measurement) -> Value:
        name = "cross_term_r2" if wanted.statistic == "r2" else wanted.statistic
        edge, random = getattr(self.edge, name), getattr(self.random, name)
        aggregated = re.fullmatch(r"(mean|best)\(v(\d+)\.\.v(\d+)\)", wanted.direction)
        if aggregated:
            aggregate, first, last = _parse(aggregated)
            measured = aggregate(edge[first - 1 : last])
            random = _grouped(random, last - first + 1, aggregate)
        else:
            measured = float(edge[_locate(wanted.direction)[1]])
        return Value(measured, None, _summarise(random, measured, "random_directions", wanted.alternative), None, None)

    def _share(self, wanted: Measurement) -> Value:
        coordinates: CoordinateSystem = _required(wanted.grouping)  # type: ignore[assignment]
        line = wanted.statistic.removeprefix("share:")
        row = _locate(wanted.direction)[1]
        edge, random = self.character(coordinates)
        measured = float(edge.shares[line][row])
        top = [(a, b) for a, b, _ in edge.strongest(_TOP)[row]]
        same = sum((a, b) == top[0] for a, b, _ in random.top)
        samples = self._permuted_shares(row, coordinates, line)
        return Value(
            measured,
            top,
            _summarise(random.shares[line], measured, "random_directions", wanted.alternative),
            _summarise(samples, measured, "input_permutation", wanted.alternative),
            PeakNull(
                kind="random_directions",
                n=len(random.top),
                same=same,
                pvalue=(same + 1) / (len(random.top) + 1),
            ),
        )

    def _permuted_shares(self, row: int, coordinates: CoordinateSystem, line: str) -> np.ndarray:
        rng = np.random.default_rng((self.seed, row))
        shuffled = rng.permuted(np.tile(self.edge.energy[row], (self.n_permutations, 1)), axis=1)
        return character_spectrum(to_grid(shuffled, self.task.pairs, self.task.p, coordinates)).shares[line]

    def _jaccard(self, wanted: Measurement) -> Value:
        """Jaccard index of a mixture's top three frequencies with the union of its components' top ones."""
        basis = _required(wanted.grouping)
        members = [int(v[1:]) - 1 for v in wanted.direction.split("+")]
        mixed, mixed_random = self.profiles(wanted.direction, basis, wanted.inputs)
        single, single_random = self.profiles("energy", basis, wanted.inputs)

        def overlap(mixture: np.ndarray, components: np.ndarray) -> float:
            # The union of the components' peaks, one each, padded to three by their next strongest.
            union = list(dict.fromkeys(components.T.ravel().tolist()))[:_TOP]
            return len(set(union) & set(mixture.tolist())) / len(set(union) | set(mixture.tolist()))

        measured = overlap(mixed.strongest(_TOP)[0], single.strongest(_TOP)[members])
        strongest, mixtures = single_random.strongest(_TOP), mixed_random.strongest(_TOP)
        samples = np.array(
            [overlap(m, strongest[triple[members]]) for m, triple in zip(mixtures, self.random.triples, strict=True)]
        )
        top = [int(w) for w in mixed.strongest(_TOP)[0]]
        return Value(measured, top, _summarise(samples, measured, "random_directions", wanted.alternative), None, None)


def _required(name: str | None) -> str:
    if name is None:
        raise ValueError("evidence: this statistic needs a grouping")
    return name


def _locate(direction: str) -> tuple[str, int]:
    """``v3`` -> (energy, 2); ``v1:PC1`` -> (PC1, 0); a mixture -> (its name, 0)."""
    if direction in mixture_names():
        return direction, 0
    found = re.fullmatch(r"v(\d+)(:PC1)?", direction)
    if not found:
        raise ValueError(f"evidence: unknown direction {direction!r}; examples: v1, v1:PC1, v1+v2, mean(v1..v3)")
    return ("PC1" if found[2] else "energy"), int(found[1]) - 1


def _parse(found: re.Match[str]) -> tuple[Aggregate, int, int]:
    aggregate: Aggregate = np.mean if found[1] == "mean" else np.max
    return aggregate, int(found[2]), int(found[3])


def _grouped(samples: np.ndarray, size: int, aggregate: Aggregate) -> np.ndarray:
    """The aggregate of every run of ``size`` consecutive null directions, cyclically: as many draws as directions."""
    index = (np.arange(len(samples))[:, None] + np.arange(size)) % len(samples)
    return np.array([aggregate(samples[i]) for i in index])
