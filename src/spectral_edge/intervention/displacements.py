"""Which way each arm moves the weights: the edge's own way, and as far along random or shrinking ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectral_edge.comparison import CannotDrawError, DirectionSpace, RandomStream
from spectral_edge.comparison.nulls import available_draws, check_unit, direction_null

__all__ = ["THETA", "Arm", "along_of", "arms_of", "part_of_weights"]

# Smallest eigenvalue of the Gram matrix of unit vectors that are independent: an angle of 1e-4.
_PARALLEL = 1e-8

THETA = "theta"
"""Name of the control that shrinks the weights as they are; it has one draw."""


@dataclass(frozen=True)
class Arm:
    """One way to move: the edge, or a control.

    Attributes:
        name: ``"edge"`` or the control's.
        draws: how many directions it has.
        direction: gives the unit vector (D,) of a draw; a control that is matched to the displacement is one for
            positive strengths.
    """

    name: str
    draws: int
    direction: Callable[[int], Tensor]

    def __iter__(self) -> Iterator[Tensor]:
        return (self.direction(draw) for draw in range(self.draws))


def part_of_weights(space: DirectionSpace, rows: Tensor) -> Tensor:
    """The part of θ in the span of rows (k, D): Vᵀ(V Vᵀ)⁻¹Vθ, (D,).

    Raises:
        ValueError: the rows do not have k independent directions.
    """
    lengths = np.array([space.inner(row, row) ** 0.5 for row in rows])
    rows = rows / torch.from_numpy(np.where(lengths > 0, lengths, 1.0)).to(rows)[:, None]
    gram = space.gram(rows)
    if np.linalg.eigvalsh(gram)[0] < _PARALLEL:
        raise ValueError(
            f"intervene: the {len(rows)} directions span fewer dimensions (two are parallel, or one is zero); leave "
            "out those that say nothing new"
        )
    along = np.array([space.along_weights(row) for row in rows])
    return torch.from_numpy(np.linalg.solve(gram, along)).to(rows) @ rows


def along_of(along: float | Tensor | np.ndarray, rows: Tensor, space: DirectionSpace) -> Tensor:
    """The displacement (D,) that ``along`` says.

    Raises:
        ValueError: it has another shape, or is zero or not finite.
    """
    given = torch.as_tensor(along, dtype=rows.dtype).to(rows.device)
    if given.ndim == 0:
        moved = given * rows[0]
    elif given.shape == (len(rows),):
        moved = given @ rows
    elif given.shape == (space.parameters.dim,):
        moved = given
    else:
        raise ValueError(
            f"intervene: along has shape {tuple(given.shape)}; give a length along v1, a coefficient for each of the "
            f"{len(rows)} directions (k={len(rows)}), or a displacement of {space.parameters.dim} parameters"
        )
    length = space.inner(moved, moved)  # over all processes, of which one may hold nothing
    if not 0 < length < float("inf"):
        raise ValueError("intervene: along is zero or not finite, so there is nothing to move")
    return moved


def arms_of(
    space: DirectionSpace, displacement: Tensor, controls: tuple[str, ...], draws: int, seed: int
) -> tuple[list[Arm], dict[str, str]]:
    """The edge's arm, those of the controls, and the controls that cannot be had with the reason.

    Args:
        space: the parameters and the edge.
        displacement: of the edge's arm at strength 1, (D,), not zero.
        controls: names.
        draws: of each random control.
        seed: of the draws.
    """
    own = space.normalised(displacement.clone())
    arms, left_out = [Arm("edge", 1, lambda draw: own)], {}
    for name in controls:
        try:
            arms.append(_theta(space, own) if name == THETA else _drawn(space, own, name, draws, seed))
        except CannotDrawError as problem:
            left_out[name] = str(problem)
    return arms, left_out


def _theta(space: DirectionSpace, own: Tensor) -> Arm:
    """Along θ, to the side that the edge's displacement goes to."""
    norm = space.weight_norm()
    sign = 1.0 if space.along_weights(own) > 0 else -1.0
    return Arm(THETA, 1, lambda draw: space.add_weights(torch.zeros_like(own), sign / norm))


def _drawn(space: DirectionSpace, own: Tensor, name: str, draws: int, seed: int) -> Arm:
    null = direction_null(name)
    sampler = null.sampler(space, own if null.per_direction else None)
    most = available_draws(null)

    def direction(draw: int) -> Tensor:
        row = sampler(RandomStream(seed, null.name, draw))
        return check_unit(row, space, null.name, draw).to(own)

    return Arm(name, draws if most is None else min(draws, most), direction)
