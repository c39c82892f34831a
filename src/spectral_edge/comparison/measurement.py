"""Statistics of tested directions and of draws, several in one pass over the responses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.comparison.draws import draw_rows, rows_at_once
from spectral_edge.comparison.nulls import PERMUTED, DirectionNull, Sampler, available_draws
from spectral_edge.comparison.progress import Progress
from spectral_edge.comparison.result import NullRow
from spectral_edge.comparison.space import DirectionSpace, RandomStream
from spectral_edge.comparison.statistic import LabelledStatistic, Statistic, Takes, check_even, value_of
from spectral_edge.modes import Responder, input_count

__all__ = ["DrawPlan", "Measurement", "left_as_found"]

Key = tuple[str, str, int | None]
"""Null, statistic, direction from 1 (``None`` for all of them)."""


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Keep a model's buffers and the random states of PyTorch, NumPy and Python while the block runs.

    A forward pass may draw random numbers, or count its calls in a buffer.
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the state is the user's
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng({p.device.index for p in model.parameters() if p.device.type == "cuda"}):
        try:
            yield
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


@dataclass(frozen=True)
class DrawPlan:
    """The draws of one null.

    Row r of a null is one direction. Draw i of direction j (from 0, of k) is row i k + j, and so is member j of set i;
    where draws do not depend on the direction, single statistics use rows 0, 1, 2, ….
    """

    null: DirectionNull
    samplers: dict[int, Sampler] = field(repr=False)
    sets: int
    measurement: Measurement = field(repr=False)

    @property
    def draws(self) -> int:
        """Draws for a single statistic of a direction."""
        return available_draws(self.null) or self.measurement.draws

    @property
    def numbers(self) -> list[tuple[int, int]]:
        """(row, direction from 0) of each draw for single statistics, in the order in which they are made."""
        if not self.measurement.singles:
            return []
        if self.null.per_direction:
            return [(i * self.measurement.k + j, j) for i in range(self.draws) for j in self.samplers]
        return [(row, 0) for row in range(self.draws)]

    @property
    def responses(self) -> int:
        """How many directions are drawn."""
        return len(self.numbers) + self.sets * self.measurement.k

    def rows(self, block: list[tuple[int, int]]) -> Tensor:
        """Draw the numbered rows (m, D)."""
        space, seed = self.measurement.space, self.measurement.seed
        if not self.null.per_direction:
            return draw_rows(self.samplers[0], space, self.null.name, seed, [row for row, _ in block])
        rows = [draw_rows(self.samplers[j], space, self.null.name, seed, [row]) for row, j in block]
        return rows[0] if len(rows) == 1 else torch.cat(rows)


@dataclass(frozen=True)
class Measurement:
    """Values of all statistics: of the tested directions, and of the draws that were made so far."""

    respond: Responder
    space: DirectionSpace
    tested: Tensor
    statistics: Sequence[Statistic]
    draws: int
    seed: int
    responses: Tensor | None
    progress: Progress
    measured: dict[tuple[str, int | None], float] = field(default_factory=dict)
    drawn: dict[Key, list[float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        respond: Responder,
        space: DirectionSpace,
        tested: Tensor,
        statistics: Sequence[Statistic],
        draws: int,
        seed: int,
        progress: Progress,
    ) -> Measurement:
        """Measure the tested directions.

        Raises:
            ValueError: a statistic is not one finite number, or changes with the sign of a direction.
        """
        needs_model = any(statistic.takes != "direction" for statistic in statistics)
        responses = torch.cat([respond(block) for block in tested.split(respond.group)]) if needs_model else None
        found = cls(respond, space, tested, statistics, draws, seed, responses, progress)
        for j in range(found.k):
            for statistic in found.singles:
                found._measure(statistic, j, f"direction {j + 1}")
        for statistic in found.taking("set"):
            found._measure(statistic, None, "the set of tested directions")
        return found

    def _measure(self, statistic: Statistic, j: int | None, place: str) -> None:
        values = self._values(statistic, j or 0)
        with self.progress.timing_labelled() if isinstance(statistic, LabelledStatistic) else nullcontext():
            measured = value_of(statistic, statistic.name, values, place)
        check_even(statistic, values, measured)
        self.measured[statistic.name, None if j is None else j + 1] = measured

    @property
    def k(self) -> int:
        """Number of tested directions."""
        return len(self.tested)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return input_count(self.respond.inputs)

    @property
    def singles(self) -> list[Statistic]:
        """Statistics of one direction or response."""
        return [statistic for statistic in self.statistics if statistic.takes != "set"]

    def taking(self, takes: Takes) -> list[Statistic]:
        """Statistics that take a response, a direction, or a set."""
        return [statistic for statistic in self.statistics if statistic.takes == takes]

    def take_all(self, plans: Sequence[DrawPlan], permuted: bool) -> bool:
        """Measure the draws of all plans, and permuted labels; False if interrupted from the keyboard on the way.

        Raises:
            ValueError: a statistic is not one finite number for a draw, which is named.
        """
        try:
            for plan in plans:
                self._take(plan)
                self._take_sets(plan)
            if permuted:
                self._take_permuted()
            return True
        except KeyboardInterrupt:
            return False
        finally:
            self.progress.end()

    def _take(self, plan: DrawPlan) -> None:
        numbers, step = plan.numbers, rows_at_once(self.respond.parameters.dim)
        for start in range(0, len(numbers), step):
            block = numbers[start : start + step]
            directions = self.respond.checked(plan.rows(block))
            responses = None if self.responses is None else self.respond(directions)
            for i, (row, j) in enumerate(block):
                self._note(plan, row, j, directions[i], None if responses is None else responses[i])
            self.progress.advance(len(block))
            del directions  # before the next are drawn

    def _take_sets(self, plan: DrawPlan) -> None:
        """Draw whole sets: k directions at once, with the inner products of the tested ones."""
        tested = self.tested.float().cpu()
        for number in range(plan.sets):
            rows = plan.rows([(number * self.k + j, j) for j in range(self.k)])
            directions = self.respond.checked(plan.null.as_set(self.space, rows, tested))  # type: ignore[attr-defined]
            members = torch.cat([self.respond(block) for block in directions.split(self.respond.group)])
            for statistic in self.taking("set"):
                found = value_of(statistic, statistic.name, members, f"set {number} of the null {plan.null.name!r}")
                self.drawn.setdefault((plan.null.name, statistic.name, None), []).append(found)
            self.progress.advance(self.k)

    def _note(self, plan: DrawPlan, row: int, j: int, direction: Tensor, response: Tensor | None) -> None:
        null, matched = plan.null.name, plan.null.per_direction
        for statistic in self.singles:
            values = direction if statistic.takes == "direction" else response
            assert values is not None
            number = row // self.k if matched else row
            found = value_of(statistic, statistic.name, values, f"draw {number} of the null {null!r}")
            for owner in [j + 1] if matched else range(1, self.k + 1):
                self.drawn.setdefault((null, statistic.name, owner), []).append(found)

    def _take_permuted(self) -> None:
        assert self.responses is not None or not self.labelled
        for i in range(self.draws):
            place = f"permutation {i} of the null {PERMUTED!r}"
            for statistic in self.labelled:
                # The same permutation for each statistic, whichever others are asked for.
                generator = RandomStream(self.seed, PERMUTED, i).generator()
                other = statistic.permute_labels(generator)  # type: ignore[attr-defined]
                if statistic.takes == "set":
                    found = value_of(other, statistic.name, self._values(statistic, 0), place)
                    self.drawn.setdefault((PERMUTED, statistic.name, None), []).append(found)
                    continue
                for j in range(self.k):
                    found = value_of(other, statistic.name, self._values(statistic, j), place)
                    self.drawn.setdefault((PERMUTED, statistic.name, j + 1), []).append(found)
            self.progress.advance(1)

    @property
    def labelled(self) -> list[Statistic]:
        """Statistics that can be had with permuted labels."""
        return [statistic for statistic in self.statistics if isinstance(statistic, LabelledStatistic)]

    def _values(self, statistic: Statistic, j: int) -> Tensor:
        """What a statistic takes of tested direction j (from 0), or of all of them."""
        if statistic.takes == "direction":
            return self.tested[j]
        assert self.responses is not None
        return self.responses if statistic.takes == "set" else self.responses[j]

    def rows(self, plans: Sequence[DrawPlan], permuted: bool) -> Iterator[NullRow]:
        """One row a (direction, statistic, null) that was asked for, direction by direction."""
        owners: dict[str, list[int | None]] = {}
        for plan in plans:
            known = [j + 1 for j in (plan.samplers if plan.null.per_direction else range(self.k))]
            owners[plan.null.name] = [*known, *([None] if plan.sets else [])]
        if permuted:
            owners[PERMUTED] = [*range(1, self.k + 1), None]
        for (name, direction), measured in self.measured.items():
            for null, having in owners.items():
                if direction in having and (null != PERMUTED or name in [s.name for s in self.labelled]):
                    values = np.array(self.drawn.get((null, name, direction), []), dtype=np.float64)
                    yield NullRow(direction, name, null, measured, values)
