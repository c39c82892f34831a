"""One number that a claim asks for: which statistic of which direction, where, and what the paper prints for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spectral_edge.store import Checkpoint, Inputs

__all__ = ["BULK", "EDGE", "ClaimLine", "Direction", "alone", "best", "component", "mean", "mixture"]

EDGE, BULK = (1, 2, 3), (4, 5, 6, 7, 8)
"""Numbers of the directions that the paper calls edge and bulk."""


@dataclass(frozen=True)
class Direction:
    """One edge direction, or several that make one number.

    Attributes:
        members: numbers of the edge directions, from 1.
        combined: "mixture": the direction Σ v_i/√m; "mean" or "best" of the members' numbers.
        component: of the response, whose scores take the place of its energy.
    """

    members: tuple[int, ...]
    combined: Literal["alone", "mixture", "mean", "best"] = "alone"
    component: int | None = None

    @property
    def is_aggregate(self) -> bool:
        """Whether its number is made of several numbers."""
        return self.combined in ("mean", "best")

    def __str__(self) -> str:
        """``v1``, ``v1:PC2``, ``v1+v2``, ``mean(v1..v3)``."""
        names = [f"v{i}" for i in self.members]
        if self.is_aggregate:
            return f"{self.combined}({names[0]}..{names[-1]})"
        return "+".join(names) + ("" if self.component is None else f":PC{self.component}")


def alone(number: int) -> Direction:
    """v_i."""
    return Direction((number,))


def component(number: int) -> Direction:
    """v_1, read by a principal component of its response."""
    return Direction((1,), component=number)


def mixture(*members: int) -> Direction:
    """The direction Σ v_i/√m."""
    return Direction(members, "mixture")


def mean(members: tuple[int, ...]) -> Direction:
    """The mean of the members' numbers."""
    return Direction(members, "mean")


def best(members: tuple[int, ...]) -> Direction:
    """The largest of the members' numbers."""
    return Direction(members, "best")


@dataclass(frozen=True)
class ClaimLine:
    """One number to measure.

    Attributes:
        claim: C3 … C14.
        task: the operation.
        direction: whose number.
        statistic: as in ``numbers.json``.
        grouping: the basis; for ``share:*`` the coordinates of the 2-D spectrum.
        published: the paper's number, ``None`` where it prints none.
        upper_bound: whether the paper prints it as "at most".
        peak: the paper's frequency.
        inputs: held-out pairs, as published, or the whole domain, or held-out pairs without a = b.
        checkpoint: name of the step.
    """

    claim: str
    task: str
    direction: Direction
    statistic: str
    grouping: str | None = None
    published: float | None = None
    peak: int | None = None
    inputs: Inputs = "test"
    checkpoint: Checkpoint = "stop"
    upper_bound: bool = False

    @property
    def n_directions(self) -> int:
        """How many edge directions must be known for this number."""
        return max(self.direction.members)
