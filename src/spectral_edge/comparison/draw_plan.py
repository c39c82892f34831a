"""Which directions of a null are drawn, in which order, and which of them make a set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectral_edge.comparison.draws import draw_rows
from spectral_edge.comparison.nulls import DirectionNull, Sampler
from spectral_edge.comparison.space import DirectionSpace

__all__ = ["Block", "Combination", "DrawPlan"]

Combination = Callable[[Tensor], tuple[float, float]]
"""From noise n to (α, β) of the draw α·n + β·θ."""


@dataclass(frozen=True)
class Block:
    """Rows that are drawn together.

    Attributes:
        rows: (row, direction from 0) of each; of noise that serves all directions, ``None`` in place of one.
        singles: how many of them, from the first, are draws for statistics of one direction.
        sets: numbers of the sets that they make, one after the other.
    """

    rows: list[tuple[int, int | None]]
    singles: int
    sets: range


@dataclass(frozen=True)
class DrawPlan:
    """The draws of one null.

    Row r of a null is one direction. Where draws do not depend on the tested direction, single statistics use rows 0,
    1, 2, … and set i has rows i m … i m + m - 1: the same directions serve both. Where they do, draw i of direction j
    (from 0, of k) is row i k + j, and so is member j of set i; made of noise and θ, draw i of any direction has the
    noise of row i.

    Attributes:
        null: what is drawn.
        samplers: one a tested direction, or one for all.
        combinations: how noise and θ make a draw, one a tested direction; empty if draws are not made so.
        k: tested directions.
        draws: for each statistic of one direction; 0 if there is none.
        sets: for each statistic of a set; 0 if there is none.
        size: directions of a set, m.
    """

    null: DirectionNull
    samplers: dict[int, Sampler] = field(repr=False)
    k: int
    draws: int
    sets: int
    size: int
    combinations: dict[int, Combination] = field(default_factory=dict, repr=False)

    @property
    def responses(self) -> int:
        """How many directions are drawn."""
        return sum(len(block.rows) for block in self.blocks(1))

    def blocks(self, step: int) -> Iterator[Block]:
        """What is drawn at once, in order: up to ``step`` rows, or whole sets."""
        if not self.null.per_direction:
            yield from self._shared(max(step // self.size, 1) * self.size if self.sets else step)
            return
        singles: list[tuple[int, int | None]] = [(i, None) for i in range(self.draws)]
        if not self.combinations:
            singles = [(i * self.k + j, j) for i in range(self.draws) for j in self.samplers]
        for start in range(0, len(singles), step):
            part = singles[start : start + step]
            yield Block(part, len(part), range(0))
        for i in range(self.sets):
            yield Block([(i * self.k + j, j) for j in range(self.size)], 0, range(i, i + 1))

    def _shared(self, step: int) -> Iterator[Block]:
        for start in range(0, max(self.draws, self.sets * self.size), step):
            stop = min(start + step, max(self.draws, self.sets * self.size))
            singles = max(0, min(stop, self.draws) - start)
            sets = range(start // self.size, min(stop // self.size, self.sets)) if self.sets else range(0)
            yield Block([(row, 0) for row in range(start, stop)], singles, sets)

    def draw(self, block: Block, space: DirectionSpace, seed: int) -> Tensor:
        """The rows of a block, (m, D) float32.

        Raises:
            ValueError: one is not a unit vector.
        """
        if not self.null.per_direction:
            return draw_rows(self.samplers[0], space, self.null.name, seed, [row for row, _ in block.rows])
        if len(block.rows) == 1:
            ((row, j),) = block.rows
            return draw_rows(self._sampler(j, space), space, self.null.name, seed, [row])
        found = torch.empty(len(block.rows), space.parameters.dim, dtype=torch.float32)
        for i, (row, j) in enumerate(block.rows):
            found[i] = draw_rows(self._sampler(j, space), space, self.null.name, seed, [row])[0]
        return found

    def _sampler(self, j: int | None, space: DirectionSpace) -> Sampler:
        return self.null.noise(space) if j is None else self.samplers[j]  # type: ignore[attr-defined]
