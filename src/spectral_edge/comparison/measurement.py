"""Statistics of tested directions and of draws, several in one pass over the responses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison.draw_plan import Block, DrawPlan
from spectral_edge.comparison.draws import rows_at_once
from spectral_edge.comparison.nulls import PERMUTED
from spectral_edge.comparison.progress import Progress
from spectral_edge.comparison.result import NullRow
from spectral_edge.comparison.space import DirectionSpace, RandomStream
from spectral_edge.comparison.statistic import (
    Keep,
    LabelledFunction,
    LabelledStatistic,
    ManyPermutations,
    Statistic,
    Takes,
    check_even,
    check_unchanged,
    relative_signs,
    set_size,
    turned_round,
    value_of,
)
from spectral_edge.modes import Responder, in_threads, input_count

__all__ = ["Measurement"]

Key = tuple[str, str, int | None]
"""Null, statistic, direction from 1 (0 where draws serve all of them, ``None`` for a set)."""

_TESTED = "tested"

_PERMUTATIONS_AT_ONCE = 50
"""After so many an interruption keeps what was done."""


@dataclass(frozen=True)
class _BlockValues:
    """What one block of draws gave."""

    values: list[tuple[Key, float]] = field(default_factory=list)
    kept: list[tuple[str, NDArray]] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """Values of all statistics: of the tested directions, and of the draws that were made so far."""

    respond: Responder
    space: DirectionSpace
    tested: Tensor
    statistics: Sequence[Statistic]
    keep: Mapping[str, Keep]
    draws: int
    seed: int
    threads: int
    responses: list[Tensor]
    progress: Progress
    measured: dict[tuple[str, int | None], float] = field(default_factory=dict)
    drawn: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    unpermutable: set[str] = field(default_factory=set)
    kept: dict[tuple[str, str], list[NDArray]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(
        cls,
        respond: Responder,
        space: DirectionSpace,
        tested: Tensor,
        statistics: Sequence[Statistic],
        keep: Mapping[str, Keep],
        *,
        draws: int,
        seed: int,
        threads: int,
        progress: Progress,
    ) -> Measurement:
        """Measure the tested directions.

        Raises:
            ValueError: a statistic is not one finite number, or changes with the sign of a direction.
        """
        needs_model = bool(keep) or any(statistic.takes != "direction" for statistic in statistics)
        blocks = tested.split(respond.group) if needs_model else ()
        responses = [row for block in blocks for row in respond(block)]
        found = cls(respond, space, tested, statistics, keep, draws, seed, threads, responses, progress)
        for j in range(found.k):
            found._measure(found.singles, j)
        if found.taking("set"):
            found._measure(found.taking("set"), None)
        for name, function in keep.items():
            for j, response in enumerate(responses):
                shape = found.kept[_TESTED, name][0].shape if j else None
                found.kept[_TESTED, name].append(_kept(name, function, response, f"direction {j + 1}", shape))
        return found

    def _measure(self, statistics: Sequence[Statistic], j: int | None) -> None:
        """Measure direction j (from 0), or the set, and again with signs changed."""
        place = "the set of tested directions" if j is None else f"direction {j + 1}"
        kinds: dict[tuple[Takes, bool], list[Statistic]] = defaultdict(list)
        for statistic in statistics:
            kinds[statistic.takes, relative_signs(statistic)].append(statistic)
        for alike in kinds.values():  # what they are given is made once: they share what they compute of it
            values = self._values(alike[0], j or 0)
            before = values.clone()
            found = []
            for statistic in alike:
                found.append(value_of(statistic, statistic.name, values, place))
                check_unchanged(statistic, values, before)
                self.measured[statistic.name, None if j is None else j + 1] = found[-1]
            for turned in turned_round(alike[0], values):
                for statistic, measured in zip(alike, found, strict=True):
                    check_even(statistic, turned, measured)

    @property
    def k(self) -> int:
        """Number of tested directions."""
        return len(self.tested)

    @property
    def size(self) -> int:
        """Number of directions that statistics of a set take."""
        return set_size(self.statistics, self.k)

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

    @property
    def labelled(self) -> list[Statistic]:
        """Statistics that can be had with permuted labels."""
        labelled = [statistic for statistic in self.statistics if isinstance(statistic, LabelledStatistic)]
        return [statistic for statistic in labelled if statistic.name not in self.unpermutable]

    def leave_out_unpermutable(self) -> str | None:
        """Pass over statistics whose labels cannot be permuted; why the first cannot, ``None`` if all can."""
        why: list[str] = []
        for statistic in self.labelled:
            try:
                statistic.permute_labels(np.random.default_rng(0))  # type: ignore[attr-defined]
            except ValueError as problem:
                self.unpermutable.add(statistic.name)
                why.append(f"{statistic.name}: {problem}")
        return why[0] if why else None

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
        blocks = list(plan.blocks(rows_at_once(self.respond.parameters.dim, self.respond.group)))
        # A statistic of a direction may put other weights into the model for a moment, which other threads would read.
        alone = not self.respond.in_parallel or self.taking("direction")
        threads = 1 if alone else self.threads
        with in_threads(threads) as run:
            for start in range(0, len(blocks), threads):
                several = blocks[start : start + threads]
                for block, reading in zip(several, run(partial(self._read, plan), several), strict=True):
                    for key, value in reading.values:
                        self.drawn[key].append(value)
                    for name, array in reading.kept:
                        self.kept[plan.null.name, name].append(array)
                    self.progress.advance(len(block.rows))

    def _read(self, plan: DrawPlan, block: Block) -> _BlockValues:
        """All statistics of the rows of a block, and of the sets that they make."""
        found = _BlockValues()
        directions = self.respond.checked(plan.draw(block, self.space, self.seed))
        mixed = bool(block.sets) and self.respond.method == "jvp" and hasattr(plan.null, "mixture")
        responses = self.respond(directions) if self.responses and (block.singles or mixed) else None
        for i, (row, j) in enumerate(block.rows[: block.singles]):
            response = None if responses is None else responses[i]
            if j is None:
                self._read_combined(plan, row, directions[i], response, found)
            else:
                self._read_single(plan, row, j, directions[i], response, found)
        for i, number in enumerate(block.sets):
            rows = slice(i * plan.size, (i + 1) * plan.size)
            members = self._members(
                plan, directions[rows], responses[rows] if mixed and responses is not None else None
            )
            for statistic in self.taking("set"):
                value = value_of(statistic, statistic.name, members, f"set {number} of the null {plan.null.name!r}")
                if number == 0:
                    for turned in turned_round(statistic, members):
                        check_even(statistic, turned, value)
                found.values.append(((plan.null.name, statistic.name, None), value))
        return found

    def _read_combined(
        self, plan: DrawPlan, row: int, noise: Tensor, response: Tensor | None, found: _BlockValues
    ) -> None:
        """The draws α·n + β·θ of all directions from one n: their responses are combined alike."""
        for j, combination in plan.combinations.items():
            alpha, beta = combination(noise.float())
            mixed = None if response is None else torch.add(alpha * response, self._response_to_weights, alpha=beta)
            drawn = noise
            if self.taking("direction"):
                drawn = self.space.add_weights(alpha * noise.float().cpu(), beta).to(noise)
            self._read_single(plan, row * self.k + j, j, drawn, mixed, found)

    @cached_property
    def _response_to_weights(self) -> Tensor:
        """The response (N, d) to θ, which of adapters is what they add."""
        zero = torch.zeros(self.respond.parameters.dim, dtype=torch.float32)
        theta = self.space.add_weights(zero, 1.0)
        return self.respond(self.respond.checked(theta[None]))[0]

    def _read_single(
        self, plan: DrawPlan, row: int, j: int, direction: Tensor, response: Tensor | None, found: _BlockValues
    ) -> None:
        null, matched = plan.null.name, plan.null.per_direction
        number = row // self.k if matched else row
        for statistic in self.singles:
            values = direction if statistic.takes == "direction" else response
            assert values is not None
            value = value_of(statistic, statistic.name, values, f"draw {number} of the null {null!r}")
            if number == 0:  # of the tested direction it may be 0, whatever its sign
                check_even(statistic, -values, value)
            found.values.append(((null, statistic.name, j + 1 if matched else 0), value))
        for name, function in self.keep.items():
            assert response is not None
            shape = self.kept[_TESTED, name][0].shape
            place = f"draw {number} of the null {null!r}"
            found.kept.append((name, _kept(name, function, response, place, shape)))

    def _members(self, plan: DrawPlan, rows: Tensor, responses: Tensor | None) -> Tensor:
        """Responses of one set, whose directions have the inner products of the tested ones."""
        tested = self.tested[: plan.size].float().cpu()
        if responses is not None:  # they are linear in the direction
            mixture = plan.null.mixture(self.space, rows.float().cpu(), tested)  # type: ignore[attr-defined]
            return torch.tensordot(torch.from_numpy(mixture).to(responses), responses, dims=1)
        directions = plan.null.as_set(self.space, rows.float().cpu(), tested)  # type: ignore[attr-defined]
        checked = self.respond.checked(directions)
        return torch.cat([self.respond(block) for block in checked.split(self.respond.group)])

    def time_of_permutations(self, permuted: bool) -> float:
        """Seconds that permuted labels are expected to take: those of a few on the first direction, times the rest."""
        if not permuted:
            return 0.0
        few = range(min(5, self.draws))
        seconds = sum(
            self.progress.timed(lambda s=statistic: self._permuted(s, self._values(s, 0), few))  # type: ignore[misc]
            * (1 if statistic.takes == "set" else self.k)
            for statistic in self.labelled
        )
        # Many at once cost hardly more than a few.
        return seconds * self.draws / (_PERMUTATIONS_AT_ONCE if self._at_once else len(few))

    def _take_permuted(self) -> None:
        for start in range(0, self.draws, _PERMUTATIONS_AT_ONCE):
            numbers = range(start, min(start + _PERMUTATIONS_AT_ONCE, self.draws))
            for statistic in self.labelled:
                of_set = statistic.takes == "set"
                for j in range(1 if of_set else self.k):
                    values = self._permuted(statistic, self._values(statistic, j), numbers)
                    self.drawn[PERMUTED, statistic.name, None if of_set else j + 1] += values
            self.progress.advance(len(numbers))

    @property
    def _at_once(self) -> bool:
        """Whether all labelled statistics do many permutations at once."""
        return all(isinstance(_function_of(statistic), ManyPermutations) for statistic in self.labelled)

    def _permuted(self, statistic: Statistic, values: Tensor, numbers: range) -> list[float]:
        """A statistic under numbered permutations of its labels."""
        # Permutation i is that of each statistic, whichever others are asked for.
        generator = RandomStream(self.seed, PERMUTED, numbers.start).generator()
        function = _function_of(statistic)
        if isinstance(function, ManyPermutations):
            found = function.permuted_values(values, generator, len(numbers))
            if np.isfinite(found).all():
                return found.tolist()
            bad = numbers[int(np.flatnonzero(~np.isfinite(found))[0])]
            raise ValueError(f"compare: statistic {statistic.name!r} is not finite for permutation {bad} of the labels")
        others = [statistic.permute_labels(generator) for _ in numbers]  # type: ignore[attr-defined]
        return [
            value_of(other, statistic.name, values, f"permutation {number} of the null {PERMUTED!r}")
            for number, other in zip(numbers, others, strict=True)
        ]

    def _values(self, statistic: Statistic, j: int) -> Tensor:
        """What a statistic takes of tested direction j (from 0), or of a set of them."""
        if statistic.takes == "direction":
            return self.tested[j]
        return torch.stack(self.responses[: self.size]) if statistic.takes == "set" else self.responses[j]

    def rows(self, plans: Sequence[DrawPlan], permuted: bool) -> Iterator[NullRow]:
        """One row a (direction, statistic, null) that was asked for, direction by direction."""
        owners: dict[str, list[int | None]] = {}
        for plan in plans:
            known = [j + 1 for j in (plan.samplers if plan.null.per_direction else range(self.k))]
            owners[plan.null.name] = [*known, *([None] if plan.sets else [])]
        if permuted:
            owners[PERMUTED] = [*range(1, self.k + 1), None]
        labelled = {statistic.name for statistic in self.labelled}
        drawn = {key: np.array(values, dtype=np.float64) for key, values in self.drawn.items()}
        shared = {plan.null.name for plan in plans if not plan.null.per_direction}
        for (name, direction), measured in self.measured.items():
            for null, having in owners.items():
                if direction in having and (null != PERMUTED or name in labelled):
                    owner = 0 if null in shared and direction is not None else direction
                    yield NullRow(direction, name, null, measured, drawn.get((null, name, owner), np.empty(0)))

    def arrays(self) -> dict[str, dict[str, NDArray]]:
        """What was kept: for each name, one array for the tested directions and one for each null."""
        found: dict[str, dict[str, NDArray]] = {name: {} for name in self.keep}
        for (owner, name), arrays in self.kept.items():
            found[name][owner] = np.stack(arrays)
        return found


def _function_of(statistic: Statistic) -> object:
    """What the user gave, without the name that the table gives it."""
    return statistic.function if isinstance(statistic, LabelledFunction) else statistic


def _kept(name: str, function: Keep, response: Tensor, place: str, shape: tuple[int, ...] | None) -> NDArray:
    """What is kept of a response, as an array that holds on to nothing else."""
    found: Any = function(response)
    if isinstance(found, Tensor):
        found = found.detach().cpu()
        found = (found.float() if found.dtype in (torch.bfloat16, torch.float16) else found).numpy()
    array = np.array(found)
    if array.dtype == object or (shape is not None and array.shape != shape):
        raise ValueError(
            f"compare: keep {name!r} of {place} has shape {array.shape}, and {shape} before; it must be one array shape"
        )
    return array
