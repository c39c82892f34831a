"""Random directions a few rows at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from spectral_edge.comparison.nulls import DirectionNull, Sampler, available_draws, check_unit, direction_null
from spectral_edge.comparison.space import CannotDrawError, DirectionSpace, RandomStream
from spectral_edge.modes import DIRECTIONS_AT_ONCE, all_finite
from spectral_edge.parameters import ParameterSubset
from spectral_edge.spectrum import SpectralEdge

__all__ = ["draw_rows", "iterate_random_directions", "rows_at_once"]

_BYTES_AT_ONCE = 64_000_000


def rows_at_once(dim: int, most: int = DIRECTIONS_AT_ONCE) -> int:
    """Directions of ``dim`` float32 entries held at once: at most ``most`` and 64 MB, at least 1.

    >>> rows_at_once(131_072), rows_at_once(30_000_000)
    (8, 1)
    """
    return max(1, min(most, _BYTES_AT_ONCE // (4 * max(dim, 1))))


def draw_rows(sampler: Sampler, space: DirectionSpace, null: str, seed: int, rows: Sequence[int]) -> Tensor:
    """Draw the named rows of a null, (len(rows), D) float32.

    Raises:
        ValueError: a draw is not a unit vector of the space.
    """
    if len(rows) == 1:  # a row may be a large part of memory: no second copy
        return check_unit(sampler(RandomStream(seed, null, rows[0])), space, null, rows[0])[None]
    found = torch.empty(len(rows), space.parameters.dim, dtype=torch.float32)
    for i, row in enumerate(rows):
        found[i] = check_unit(sampler(RandomStream(seed, null, row)), space, null, row)
    return found


def iterate_random_directions(
    n: int,
    parameters: ParameterSubset,
    null: str | DirectionNull = "isotropic",
    *,
    edge: SpectralEdge | None = None,
    direction: Tensor | None = None,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Draw ``n`` random unit directions of a null, in blocks (m, D) float32 of at most 8 rows and 64 MB.

    Row i depends on (seed, null, i) only: it is the same in any chunking, and a longer sequence extends a shorter one.
    No row is ever one of ``random_directions`` of the same seed.

    Args:
        n: how many, at least 1.
        parameters: where the directions live, at the values that the null ``weights`` matches.
        null: ``"isotropic"``, ``"span"``, ``"weights"``, ``"blocks"``, or a null of your own.
        edge: for ``span``.
        direction: (D,), the tested direction, of any length, for ``weights`` and ``blocks``.
        seed: a nonnegative integer.

    Returns:
        An iterator of blocks of rows. Where parameters are sharded, the parts of unit vectors that this process holds.

    Raises:
        ValueError: ``n`` or ``seed`` is out of range, ``direction`` does not fit, or the null cannot be drawn here.

    Cost of a row: D normal draws, about 6 ns each; for ``blocks`` a permutation of D entries, for ``span`` W D
    multiply-adds.

    >>> weights = ParameterSubset({"w": torch.ones(3, 4)})
    >>> [block.shape for block in iterate_random_directions(10, weights)]
    [torch.Size([8, 12]), torch.Size([2, 12])]
    """
    chosen = direction_null(null)
    most = available_draws(chosen)
    if n < 1 or seed < 0 or (most is not None and n > most):
        limit = "" if most is None else f" and at most {most}"
        raise ValueError(
            f"n = {n}, seed = {seed}: draws of {chosen.name!r} need n of at least 1{limit}, and a seed >= 0"
        )
    space = DirectionSpace(parameters, edge)
    if chosen.per_direction:
        direction = None if direction is None else torch.as_tensor(direction).detach().cpu()
        if direction is None or direction.shape != (parameters.dim,):
            shape = None if direction is None else tuple(direction.shape)
            raise ValueError(f"null {chosen.name!r} needs direction=, of shape ({parameters.dim},), not {shape}")
        if not all_finite(direction) or space.inner(direction, direction) == 0:
            raise ValueError(f"null {chosen.name!r}: direction is zero or not finite")
    try:
        sampler = chosen.sampler(space, direction)
    except CannotDrawError as problem:
        raise ValueError(f"null {chosen.name!r} cannot be drawn: {problem}") from None
    step = rows_at_once(parameters.dim)
    return (
        draw_rows(sampler, space, chosen.name, seed, range(start, min(start + step, n))) for start in range(0, n, step)
    )
