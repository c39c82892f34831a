"""Least squares on half of the documents, scored on the other half; intervals by resampling held-out documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_edge.comparison import Documents

__all__ = ["Halves", "Score", "fitted", "gain", "score"]

Floats = NDArray[np.float64]

_ALL = "all"
_FEWEST = 4
_RESAMPLES = 1000
_LEVEL = (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class Halves:
    """Outputs of inputs that belong to n documents, cut in two by documents, stratified by source.

    Attributes:
        y: (M,) outputs that are known, input by input.
        owner: (M,) the document of each.
        first: (n,) bool, whether a document is fitted on.
        sources: (n,) names.
    """

    y: Floats
    owner: NDArray[np.int64]
    first: NDArray[np.bool_]
    sources: NDArray[np.str_]

    @classmethod
    def of(
        cls,
        known: NDArray[np.bool_],
        values: Floats,
        sources: Sequence[str] | None,
        documents: Sequence[Any] | None,
        seed: int,
    ) -> Halves:
        """Cut (N, d) values, of which some are known.

        Args:
            known: (N, d).
            values: (N, d).
            sources: (N,) names; all are of one if left out.
            documents: (N,) what each input belongs to; each by itself if left out.
            seed: of the cut.

        Raises:
            ValueError: fewer than four documents have known values, in all or of a source; there is not a name for each
                input; or a document has inputs of two sources.
        """
        for name, given in (("sources", sources), ("documents", documents)):
            if given is not None and len(given) != len(values):
                raise ValueError(f"{name}: {len(given)} names for {len(values)} inputs; one is needed for each")
        document = np.arange(len(values)) if documents is None else Documents(documents).of_input
        n = int(document.max()) + 1
        names = np.full(n, _ALL, dtype=object)
        if sources is not None:
            of_input = np.array([str(source) for source in sources], dtype=object)
            names[document] = of_input
            if (names[document] != of_input).any():
                raise ValueError(
                    "sources: a document has inputs of two sources, so it cannot be held out of one of them"
                )
        names = names.astype(str)
        full = np.zeros(n, dtype=bool)
        np.logical_or.at(full, document, known.any(1))
        generator = np.random.default_rng(seed)
        first = np.zeros(n, dtype=bool)
        for name in dict.fromkeys(names.tolist()):
            own = np.flatnonzero((names == name) & full)
            if len(own) < _FEWEST:
                what = "inputs" if documents is None else "documents"
                where = "" if sources is None else f" of source {name!r}"
                raise ValueError(f"{what}: {len(own)}{where} have known outputs; two halves need at least {_FEWEST}")
            first[generator.permutation(own)[: len(own) // 2]] = True
        owner = np.broadcast_to(document[:, None], known.shape)[known]
        return cls(values[known], owner, first, names)

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What is scored: all held-out documents, then those of each source, with their numbers."""
        held = self._held
        found = [(_ALL, len(held))]
        several = list(dict.fromkeys(self.sources.tolist()))
        return found + [(name, int((self.sources[held] == name).sum())) for name in several if name != _ALL]

    @property
    def _held(self) -> NDArray[np.int64]:
        known = np.unique(self.owner)
        return known[~self.first[known]]

    def documents_of(self, part: str) -> NDArray[np.int64]:
        """Held-out documents of a part."""
        return self._held if part == _ALL else self._held[self.sources[self._held] == part]


# Derivatives are float32: what two regressors of unit spread differ by below this is their rounding.
_COLLINEAR = 1e-5


def fitted(halves: Halves, columns: Floats) -> Floats:
    """(M,) predictions from (p, M) regressors and an intercept, fitted on the first half.

    Regressors are scaled to unit spread; where they are collinear the smallest coefficients are taken.
    """
    spread = columns.std(axis=1, keepdims=True)
    design = np.vstack([np.ones(len(halves.y)), columns / np.where(spread > 0, spread, 1)]).T
    own = halves.first[halves.owner]
    coefficients = np.linalg.lstsq(design[own], halves.y[own], rcond=_COLLINEAR)[0]
    return np.asarray(design @ coefficients)


@dataclass(frozen=True)
class Score:
    """R² of one part of the held-out documents, with a 90 % interval over them."""

    source: str
    r2: float
    low: float
    high: float
    held_out: int


def score(halves: Halves, predicted: Floats, seed: int) -> list[Score]:
    """R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)² of each part; the interval resamples documents."""
    found = []
    for name, n in halves.parts:
        sums = _sums(halves, predicted, name)
        low, high = np.quantile(_r2(sums[_resamples(n, seed)].sum(1)), _LEVEL)
        found.append(Score(name, float(_r2(sums.sum(0)[None])[0]), float(low), float(high), n))
    return found


def gain(halves: Halves, fewer: Floats, more: Floats, seed: int) -> Iterator[dict[str, Any]]:
    """R² of one prediction minus that of another, by part, resampled together."""
    for name, n in halves.parts:
        one, two = (_sums(halves, predicted, name) for predicted in (fewer, more))
        chosen = _resamples(n, seed)
        differences = _r2(two[chosen].sum(1)) - _r2(one[chosen].sum(1))
        low, high = np.quantile(differences, _LEVEL)
        difference = _r2(two.sum(0)[None]) - _r2(one.sum(0)[None])
        yield {"gain": float(difference[0]), "low": float(low), "high": float(high), "source": name}


def _sums(halves: Halves, predicted: Floats, part: str) -> Floats:
    """(documents, 4): number of outputs, Σy, Σy², Σ(y − ŷ)² of each document."""
    wanted = halves.documents_of(part)
    n = len(halves.first)
    columns = (np.ones(len(halves.y)), halves.y, halves.y**2, (halves.y - predicted) ** 2)
    return np.stack([np.bincount(halves.owner, column, n)[wanted] for column in columns], axis=1)


def _r2(sums: Floats) -> Floats:
    count, total, squares, errors = sums.T
    spread = squares - total**2 / count
    return np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1), np.nan)


def _resamples(n: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
