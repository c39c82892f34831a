"""Statistics of tested directions and of draws, several in one pass over the responses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.comparison.draws import draw_rows, rows_at_once
from spectral_edge.comparison.nulls import Sampler
from spectral_edge.comparison.progress import Progress
from spectral_edge.comparison.result import NullRow
from spectral_edge.comparison.space import RandomStream
from spectral_edge.comparison.statistic import LabelledStatistic, Statistic, Takes, check_even, value_of
from spectral_edge.modes import Responder, input_count

__all__ = ["PERMUTED", "DrawPlan", "Measurement", "left_as_found"]

PERMUTED = "inputs"
"""Name of the null of permuted labels, which draws no directions."""

Key = tuple[str, str, int | None]
"""Null, statistic, direction from 1 (``None`` for all of them)."""


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Keep the random states of PyTorch, NumPy and Python, which a forward pass may use, while the block runs."""
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the state is the user's
    with torch.random.fork_rng({p.device.index for p in model.parameters() if p.device.type == "cuda"}):
        try:
            yield
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)


@dataclass(frozen=True)
class DrawPlan:
    """The draws of one null.

    Row r of a null is one direction. Draw i of direction j (from 0, of k) is row i k + j, and so is member j of set i;
    where draws do not depend on the direction, its single statistics use rows 0, 1, 2, ….
    """

    null: str
    per_direction: bool
    samplers: dict[int, Sampler] = field(repr=False)
    draws: int
    fixed: bool
    measurement: Measurement = field(repr=False)

    @property
    def sets(self) -> bool:
        """Whether there are statistics of sets, and a draw for each member."""
        return bool(self.measurement.taking("set")) and (
            not self.per_direction or len(self.samplers) == self.measurement.k
        )

    @property
    def numbers(self) -> list[tuple[int, int]]:
        """(row, direction from 0) of each draw, in the order in which they are made."""
        k = self.measurement.k
        if self.per_direction:
            return [(i * k + j, j) for i in range(self.draws) for j in self.samplers]
        rows = self.draws * k if self.sets and not self.fixed else self.draws
        return [(row, row % k) for row in range(rows)]

    @property
    def responses(self) -> int:
        """How many directions are drawn."""
        return len(self.numbers)

    def blocks(self) -> Iterator[tuple[list[tuple[int, int]], Tensor]]:
        """Yield numbers and rows (m, D) of at most 8 draws and 64 MB."""
        numbers, dim = self.numbers, self.measurement.respond.parameters.dim
        step, seed = rows_at_once(dim), self.measurement.seed
        for start in range(0, len(numbers), step):
            block = numbers[start : start + step]
            if not self.per_direction:
                yield block, draw_rows(self.samplers[0], dim, self.null, seed, [row for row, _ in block])
            else:
                yield block, self._matched(block, dim, seed)

    def _matched(self, block: list[tuple[int, int]], dim: int, seed: int) -> Tensor:
        rows = [draw_rows(self.samplers[j], dim, self.null, seed, [row]) for row, j in block]
        return rows[0] if len(rows) == 1 else torch.cat(rows)


@dataclass(frozen=True)
class Measurement:
    """Values of all statistics: of the tested directions, and of the draws that were made so far."""

    respond: Responder
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
        found = cls(respond, tested, statistics, draws, seed, responses, progress)
        for j in range(found.k):
            for statistic in found.singles:
                found._measure(statistic, j, f"direction {j + 1}")
        for statistic in found.taking("set"):
            found._measure(statistic, None, "the set of tested directions")
        return found

    def _measure(self, statistic: Statistic, j: int | None, place: str) -> None:
        values = self._values(statistic, j or 0)
        measured = value_of(statistic, statistic.name, values, place)
        if not j:
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
            if permuted:
                self._take_permuted()
            return True
        except KeyboardInterrupt:
            return False
        finally:
            self.progress.end()

    def _take(self, plan: DrawPlan) -> None:
        members: list[Tensor] = []
        for block, rows in plan.blocks():
            directions = self.respond.checked(rows)
            responses = None if self.responses is None else self.respond(directions)
            for i, (row, j) in enumerate(block):
                response = None if responses is None else responses[i]
                if plan.per_direction or row < plan.draws:
                    self._note(plan, row, j, directions[i], response)
                if plan.sets and response is not None:
                    members.append(response)
                    if len(members) == self.k:
                        self._note_set(plan, row // self.k, torch.stack(members))
                        members.clear()
            self.progress.advance(len(block))
            del rows, directions  # before the next are drawn

    def _note(self, plan: DrawPlan, row: int, j: int, direction: Tensor, response: Tensor | None) -> None:
        for statistic in self.singles:
            values = direction if statistic.takes == "direction" else response
            assert values is not None
            number = row // self.k if plan.per_direction else row
            found = value_of(statistic, statistic.name, values, f"draw {number} of the null {plan.null!r}")
            owners = [j + 1] if plan.per_direction else range(1, self.k + 1)
            for owner in owners:
                self.drawn.setdefault((plan.null, statistic.name, owner), []).append(found)

    def _note_set(self, plan: DrawPlan, number: int, members: Tensor) -> None:
        for statistic in self.taking("set"):
            found = value_of(statistic, statistic.name, members, f"set {number} of the null {plan.null!r}")
            self.drawn.setdefault((plan.null, statistic.name, None), []).append(found)

    def _take_permuted(self) -> None:
        assert self.responses is not None or not self.labelled
        for i in range(self.draws):
            generator = RandomStream(self.seed, PERMUTED, i).generator()
            place = f"permutation {i} of the null {PERMUTED!r}"
            for statistic in self.labelled:
                other = statistic.permute_labels(generator)  # type: ignore[attr-defined]
                if statistic.takes == "set":
                    found = value_of(other, statistic.name, self._values(statistic, 0), place)
                    self.drawn.setdefault((PERMUTED, statistic.name, None), []).append(found)
                    continue
                for j in range(self.k):
                    found = value_of(other, statistic.name, self._values(statistic, j), place)
                    self.drawn.setdefault((PERMUTED, statistic.name, j + 1), []).append(found)

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
            known = [j + 1 for j in (plan.samplers if plan.per_direction else range(self.k))]
            owners[plan.null] = [*known, *([None] if plan.sets else [])]
        if permuted:
            owners[PERMUTED] = [*range(1, self.k + 1), None]
        for (name, direction), measured in self.measured.items():
            for null, having in owners.items():
                if direction in having and (null != PERMUTED or name in [s.name for s in self.labelled]):
                    values = np.array(self.drawn.get((null, name, direction), []), dtype=np.float64)
                    yield NullRow(direction, name, null, measured, values)
