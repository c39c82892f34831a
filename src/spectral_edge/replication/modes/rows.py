"""A line of a claim measured at one step: the number, its strongest frequencies, and its nulls, as a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison import NullRow
from spectral_edge.modes import FunctionalModes, functional_modes
from spectral_edge.replication.claims.line import ClaimLine, Direction
from spectral_edge.replication.modes.quantities import Quantity, strongest, strongest_on
from spectral_edge.replication.modes.step import StepComparison
from spectral_edge.replication.null_summary import subset_draws, summarise
from spectral_edge.replication.study import is_published_protocol
from spectral_edge.statistics import rarity_pvalue
from spectral_edge.store import ClaimRow, NullKind, NullSummary, PeakNull

__all__ = ["StepRows", "against"]

Top = list[int] | list[tuple[int, int]]

_PERMUTED = "inputs"


@dataclass(frozen=True, eq=False)
class StepRows:
    """Rows of the lines measured at one step.

    Attributes:
        step: the comparison.
        other_phase: statistics of edge directions of other windows, by name of the quantity; ``None`` if none.
    """

    step: StepComparison
    other_phase: dict[str, NDArray[np.float64]] | None

    def row(self, line: ClaimLine) -> ClaimRow:
        """One line of numbers.json."""
        here, top, quantity = self.step.here, self._top(line), Quantity.of(line)
        members = _measured(self.step, line, quantity)
        measured, null = against(line, members, self.step.draws(quantity), here.config.seed)
        published = is_published_protocol(here.run.training, here.config) and line.checkpoint == here.checkpoint
        of_response = line.statistic != "head_purity"
        return here.edge_row(
            line.claim,
            method="jvp" if of_response else None,
            direction=str(line.direction),
            statistic=line.statistic,
            grouping=line.grouping,
            inputs=line.inputs if of_response else None,
            measured=measured,
            peak=_peak(top),
            top=top,
            published=line.published if published else None,
            published_is_upper_bound=line.upper_bound if published and line.published else None,
            published_peak=line.peak if published else None,
            null=null,
            permutation_null=self._permutation_null(line, measured),
            further_nulls=self._further_nulls(line),
            peak_null=self._peak_null(line, "random_directions"),
            permutation_peak_null=self._peak_null(line, "input_permutation"),
        )

    @cached_property
    def modes(self) -> FunctionalModes:
        """Responses to the edge directions, and their functions."""
        run = self.step.here.run
        model, parameters = run.model_at(self.step.here.step)
        return functional_modes(model, self.step.rows[: self.step.k], run.task.pairs, parameters=parameters)

    @cached_property
    def response(self) -> Callable[[tuple[int, ...]], Tensor]:
        """The response (N, d) to Σ v_i/√m; the same object each time, so that spectra are computed once."""
        return cache(lambda members: self.modes.response[[i - 1 for i in members]].sum(0) / len(members) ** 0.5)

    def _top(self, line: ClaimLine) -> Top | None:
        """The strongest frequencies: those of the best member of several; none of a mean, or without a spectrum."""
        if line.direction.combined == "mean" or line.grouping in (None, "cross_terms"):
            return None
        if line.statistic.startswith("share:"):
            statistic = self.step.quantities.statistic(Quantity.of(line))
            power = statistic.spectrum(self.response(line.direction.members)).power[0]
            return strongest_on(statistic.line, power) or None
        basis = Quantity("concentration", line.grouping, line.inputs, line.direction.component)
        profile = self.step.quantities.statistic(basis).profile
        members = line.direction.members
        if line.direction.combined == "best":
            members = (members[int(np.argmax(_measured(self.step, line, Quantity.of(line))))],)
        return strongest(profile(self.response(members)))

    def _permutation_null(self, line: ClaimLine, measured: float) -> NullSummary | None:
        found = _rows(self.step, line, Quantity.of(line), _PERMUTED)
        if line.statistic == "jaccard" or not found:
            return None
        draws = np.stack([row.values for row in found])
        return summarise(_combined(line.direction, draws), measured, "input_permutation")

    def _further_nulls(self, line: ClaimLine) -> list[NullSummary]:
        if self.other_phase is None or line.direction.is_aggregate or line.statistic == "jaccard":
            return []
        quantity = Quantity.of(line)
        (measured,) = _measured(self.step, line, quantity)
        return [summarise(self.other_phase[str(quantity)], measured, "other_phase")]

    def _peak_null(self, line: ClaimLine, kind: NullKind) -> PeakNull | None:
        """How often null draws peak where the direction does."""
        peak = Quantity.of(line).peak
        if peak is None or line.direction.is_aggregate:
            return None
        row = self.step.row(line.direction, peak, *([_PERMUTED] if kind == "input_permutation" else []))
        if row is None:
            return None
        observed, draws = int(row.measured), row.values.astype(int).tolist()
        same = sum(draw == observed for draw in draws)
        return PeakNull(kind=kind, n=len(draws), same=same, pvalue=rarity_pvalue(observed, draws))


def against(
    line: ClaimLine, measured: NDArray[np.float64], draws: NDArray[np.float64], seed: int
) -> tuple[float, NullSummary]:
    """The number of a line and its null of random directions, from the numbers of its members (m,) and of theirs (n,).

    An aggregate of several edge values is held against :func:`~spectral_edge.replication.null_summary.subset_draws`.
    """
    number = float(_combined(line.direction, measured[:, None])[0])
    if line.direction.is_aggregate:
        draws = subset_draws(_aggregate(line.direction), measured, draws, seed)
    return number, summarise(draws, number, "random_directions")


def _rows(step: StepComparison, line: ClaimLine, quantity: Quantity, *null: str) -> list[NullRow]:
    """The comparison's rows of the members of a line's direction."""
    if line.statistic == "jaccard":
        wanted: Sequence[Direction | None] = [None]
    elif line.direction.is_aggregate:
        wanted = [Direction((member,)) for member in line.direction.members]
    else:
        wanted = [line.direction]
    found = [step.row(direction, quantity, *null) for direction in wanted]
    return [row for row in found if row is not None]


def _measured(step: StepComparison, line: ClaimLine, quantity: Quantity) -> NDArray[np.float64]:
    return np.array([row.measured for row in _rows(step, line, quantity)])


def _aggregate(direction: Direction) -> Callable[..., Any]:
    return np.mean if direction.combined == "mean" else np.max


def _combined(direction: Direction, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (m, n) of the members as (n,) of the whole."""
    return _aggregate(direction)(values, axis=0) if direction.is_aggregate else values[0]


def _peak(top: Top | None) -> int | None:
    """The strongest frequency; of a line of the 2-D spectrum, w of its strongest character (w, ±w)."""
    if not top:
        return None
    return top[0] if isinstance(top[0], int) else top[0][0]
