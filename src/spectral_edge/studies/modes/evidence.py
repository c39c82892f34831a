"""Statistics of edge directions beside the same statistics of their nulls, at one checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from spectral_edge.bases import CharacterSpectrum, CoordinateSystem, character_spectrum, grouping, to_grid
from spectral_edge.grokking import ModularTask
from spectral_edge.statistics import FourierProfile, fourier_profile, permuted_profiles, rarity_pvalue
from spectral_edge.store import Inputs, NullKind, NullSummary, PeakNull
from spectral_edge.studies.measurement import Measured, mixture_names
from spectral_edge.studies.modes.published import Measurement
from spectral_edge.studies.null_summary import subset_draws, summarise

__all__ = ["Evidence", "Value"]

_TOP = 3
_SCALARS = {"head_purity": "head_purity", "effective_rank": "effective_rank", "r2": "cross_term_r2"}
Alternative = Literal["greater", "less"]
Aggregate = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Value:
    """A measured number, its strongest frequencies, and its nulls."""

    measured: float
    top: list[int] | list[tuple[int, int]] | None
    null: NullSummary
    permutation_null: NullSummary | None
    peak_null: PeakNull | None
    permutation_peak_null: PeakNull | None = None


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
        default_factory=dict, init=False, repr=False
    )

    def value(self, wanted: Measurement) -> Value:
        """Measure one line of the table of measurements.

        Raises:
            ValueError: an unknown statistic or direction.
        """
        statistic = wanted.statistic
        if statistic in _SCALARS:
            return self._scalar(wanted)
        if statistic.startswith("share:"):
            return self._share(wanted)
        if statistic == "jaccard":
            return self._jaccard(wanted)
        if statistic in ("concentration", "peakedness", "variance_share"):
            return self._profile_value(wanted)
        raise ValueError(f"evidence: unknown statistic {statistic!r} in claim {wanted.claim}")

    def direction_null(self, wanted: Measurement, kind: NullKind) -> NullSummary | None:
        """One line held against :attr:`random` only, under another name; ``None`` for several directions."""
        if wanted.statistic == "jaccard" or _parse(wanted.direction).aggregate is not None:
            return None
        measured, samples = self._measured(wanted)
        return summarise(samples, measured, kind, wanted.alternative)

    def against_random(self, wanted: Measurement) -> tuple[float, NullSummary]:
        """The number and its null of random directions, as :meth:`value` has them, without the costly permutations.

        A grouping ``q|r`` stands for the larger of the two bases' numbers, direction by direction.
        """
        if wanted.statistic == "jaccard":
            value = self._jaccard(wanted)
            return value.measured, value.null
        measured, samples = self._measured(wanted)
        return measured, summarise(samples, measured, "random_directions", wanted.alternative)

    def _measured(self, wanted: Measurement) -> tuple[float, np.ndarray]:
        """The number and its draws from the random directions."""
        named = _parse(wanted.direction)
        if wanted.statistic in _SCALARS:
            name = _SCALARS[wanted.statistic]
            return self._against(named, getattr(self.edge, name)[named.rows], getattr(self.random, name))
        if wanted.statistic.startswith("share:"):
            line = wanted.statistic.removeprefix("share:")
            edge2d, random2d = self.character(_required(wanted.grouping), inputs=wanted.inputs)  # type: ignore[arg-type]
            return float(edge2d.shares[line][named.rows[0]]), random2d.shares[line]
        both = [self.profiles(named.kind, basis, wanted.inputs) for basis in _required(wanted.grouping).split("|")]
        of_edge, of_random = (
            np.max([getattr(profile, wanted.statistic) for profile in side], axis=0) for side in zip(*both, strict=True)
        )
        return self._against(named, of_edge[named.rows], of_random)

    def profiles(self, kind: str, basis: str, inputs: Inputs) -> tuple[FourierProfile, FourierProfile]:
        """Fourier profiles of all edge functions and all null functions of one kind, computed once.

        Args:
            kind: ``energy``, ``PC1`` … ``PC3`` or a mixture name.
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
        self, coordinates: CoordinateSystem, n_random: int | None = None, inputs: Inputs = "all"
    ) -> tuple[CharacterSpectrum, CharacterSpectrum]:
        """Signed 2-D spectra of v_1 … v_3 and of the random directions on the whole domain."""
        grid = partial(to_grid, pairs=self.task.pairs, p=self.task.p, coordinates=coordinates)
        edge = grid(self._on_domain(self.edge.energy[:3], inputs))
        return character_spectrum(edge), character_spectrum(
            grid(self._on_domain(self.random.energy[:n_random], inputs))
        )

    def _on_domain(self, energy: np.ndarray, inputs: Inputs) -> np.ndarray:
        if inputs != "all_diagonal_averaged":
            return energy
        a, b = self.task.pairs.T
        return np.where(a == b, energy[:, a != b].mean(axis=1, keepdims=True), energy)

    def _index(self, inputs: Inputs) -> np.ndarray:
        if inputs == "all":
            return np.arange(len(self.task.pairs))
        if inputs == "test":
            return self.test
        if inputs == "test_off_diagonal":
            a, b = self.task.pairs[self.test].T
            return self.test[a != b]
        raise ValueError(f"evidence: group averages are not defined on inputs {inputs!r}")

    def _functions(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        if kind == "energy":
            return self.edge.energy, self.random.energy
        if kind.startswith("PC"):
            component = int(kind[2:]) - 1
            return self.edge.components[:, component], self.random.components[:, component]
        # A mixture of isotropic random directions is one more isotropic random direction: the singles are its null.
        return self.edge.mixtures[:1, mixture_names().index(kind)], self.random.energy

    def _profile_value(self, wanted: Measurement) -> Value:
        named = _parse(wanted.direction)
        edge, random = self.profiles(named.kind, _required(wanted.grouping), wanted.inputs)
        of_edge = getattr(edge, wanted.statistic)[named.rows]
        measured, samples = self._measured(wanted)
        row = None if named.aggregate is np.mean else named.rows[int(np.argmax(of_edge))]
        null = summarise(samples, measured, "random_directions", wanted.alternative)
        permuted, permuted_peaks = self._permuted(wanted, named, measured)
        if named.aggregate is not None:
            return Value(measured, None if row is None else _strongest(edge)[row].tolist(), null, permuted, None)
        peak = int(edge.peak[named.rows[0]])
        return Value(
            measured,
            _strongest(edge)[named.rows[0]].tolist(),
            null,
            permuted,
            _peak_null("random_directions", peak, random.peak.tolist()),
            _peak_null("input_permutation", peak, permuted_peaks),
        )

    def _against(self, named: _Direction, of_edge: np.ndarray, of_random: np.ndarray) -> tuple[float, np.ndarray]:
        """The measured number and its null draws.

        An aggregate of several edge values is held against :func:`subset_draws`.
        """
        if named.aggregate is None:
            return float(of_edge[0]), of_random
        return float(named.aggregate(of_edge)), subset_draws(named.aggregate, of_edge, of_random, self.seed)

    def _permuted(self, wanted: Measurement, named: _Direction, measured: float) -> tuple[NullSummary, list[int]]:
        q = grouping(_required(wanted.grouping), self.task.p)
        index = self._index(wanted.inputs)
        values = self._functions(named.kind)[0][named.rows][:, index]
        null = permuted_profiles(values, q(self.task.pairs[index]), q.order, self.n_permutations, self.seed)
        if wanted.statistic == "peakedness":  # max/mean is F times the number of frequencies
            samples = null.concentration * (q.order // 2)
        else:
            samples = getattr(null, wanted.statistic)
        draws = samples[0] if named.aggregate is None else np.array([named.aggregate(draw) for draw in samples.T])
        return summarise(draws, measured, "input_permutation", wanted.alternative), null.peak[0].tolist()

    def _scalar(self, wanted: Measurement) -> Value:
        measured, samples = self._measured(wanted)
        return Value(measured, None, summarise(samples, measured, "random_directions", wanted.alternative), None, None)

    def _share(self, wanted: Measurement) -> Value:
        coordinates: CoordinateSystem = _required(wanted.grouping)  # type: ignore[assignment]
        line = wanted.statistic.removeprefix("share:")
        row = _parse(wanted.direction).rows[0]
        edge, random = self.character(coordinates, inputs=wanted.inputs)
        measured = float(edge.shares[line][row])
        top = _strongest_on(line, edge.power[row : row + 1])[0]
        permuted = self._permuted_spectra(row, coordinates, wanted.inputs)

        def peak_null(kind: NullKind, power: np.ndarray) -> PeakNull | None:
            return _peak_null(kind, top[0], [found[0] for found in _strongest_on(line, power)]) if top else None

        return Value(
            measured,
            top or None,
            summarise(random.shares[line], measured, "random_directions", wanted.alternative),
            summarise(permuted.shares[line], measured, "input_permutation", wanted.alternative),
            peak_null("random_directions", random.power),
            peak_null("input_permutation", permuted.power),
        )

    def _permuted_spectra(self, row: int, coordinates: CoordinateSystem, inputs: Inputs) -> CharacterSpectrum:
        rng = np.random.default_rng((self.seed, row))
        energy = self._on_domain(self.edge.energy[row : row + 1], inputs)
        shuffled = rng.permuted(np.tile(energy, (self.n_permutations, 1)), axis=1)
        return character_spectrum(to_grid(shuffled, self.task.pairs, self.task.p, coordinates))

    def _jaccard(self, wanted: Measurement) -> Value:
        """Jaccard index of a mixture's strongest frequencies with the union of its components' strongest ones."""
        q = grouping(_required(wanted.grouping), self.task.p)
        labels = q(self.task.pairs[self.test])
        members = [int(v[1:]) - 1 for v in wanted.direction.split("+")]
        mixture = mixture_names().index(wanted.direction)

        def overlaps(of: Measured) -> tuple[np.ndarray, np.ndarray]:
            mixed = _strongest(fourier_profile(of.mixtures[:, mixture][:, self.test], labels, q.order))
            single = _strongest(fourier_profile(of.energy[:, self.test], labels, q.order))
            return mixed, np.array(
                [_jaccard_index(m, single[t[members]]) for m, t in zip(mixed, of.triples, strict=True)]
            )

        mixed, measured = overlaps(self.edge)
        null = summarise(overlaps(self.random)[1], float(measured[0]), "random_directions", wanted.alternative)
        return Value(float(measured[0]), mixed[0].tolist(), null, None, None)


@dataclass(frozen=True)
class _Direction:
    """A direction's name, read: which functions, which rows of them, and how several make one number."""

    kind: str
    rows: list[int]
    aggregate: Aggregate | None = None


def _parse(direction: str) -> _Direction:
    """``v3``, ``v1:PC1``, ``v1+v2``, ``mean(v1..v3)`` or ``best(v1..v3)``."""
    if direction in mixture_names():
        return _Direction(direction, [0])
    if found := re.fullmatch(r"v(\d+)(?::(PC[123]))?", direction):
        return _Direction(found[2] or "energy", [int(found[1]) - 1])
    if found := re.fullmatch(r"(mean|best)\(v(\d+)\.\.v(\d+)\)", direction):
        rows = list(range(int(found[2]) - 1, int(found[3])))
        return _Direction("energy", rows, np.mean if found[1] == "mean" else np.max)
    raise ValueError(f"evidence: unknown direction {direction!r}; examples: v1, v1:PC1, v1+v2, mean(v1..v3)")


def _required(name: str | None) -> str:
    if name is None:
        raise ValueError("evidence: this statistic needs a grouping")
    return name


def _strongest(profile: FourierProfile) -> np.ndarray:
    return profile.strongest(min(_TOP, profile.power.shape[1]))


def _strongest_on(line: str, power: np.ndarray) -> list[list[tuple[int, int]]]:
    """The strongest characters of the line, (w, w) or (w, -w), of each spectrum (k, M, M); none for other shares."""
    if line not in ("sum", "difference"):
        return [[] for _ in power]
    sign = 1 if line == "sum" else -1
    w = np.arange(1, power.shape[1] // 2 + 1)
    order = np.argsort(-power[:, w, sign * w], axis=1)[:, :_TOP]
    return [[(int(w[i]), sign * int(w[i])) for i in row] for row in order]


def _peak_null(kind: NullKind, peak: Hashable, null_peaks: list) -> PeakNull:
    pvalue = rarity_pvalue(peak, null_peaks)
    same = sum(p == peak for p in null_peaks)
    return PeakNull(kind=kind, n=len(null_peaks), same=same, pvalue=pvalue)


def _jaccard_index(mixture: np.ndarray, components: np.ndarray) -> float:
    """|A ∩ B|/|A ∪ B|, A the mixture's strongest, B the components' strongest: first of each, then second of each …."""
    union = set(list(dict.fromkeys(components.T.ravel().tolist()))[: len(mixture)])
    found = set(mixture.tolist())
    return len(union & found) / len(union | found)
