"""Responses to random directions on the whole grid: the closed form against ``torch.func.jvp``, on one thread."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS, DIRECTIONS = 5, 16


def residual(model: nn.Module, pairs: Tensor) -> Tensor:
    """Read by a function, so that the model's own derivative is not used."""
    return model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    model, pairs = se.ModularTransformer(p=97), se.ModularTask("add", p=97).pairs
    directions = se.random_directions(DIRECTIONS, se.attention_weights(model).dim, seed=0)
    found = in_turns(
        ROUNDS,
        lambda: se.functional_modes(model, directions, pairs, forward=residual),
        lambda: se.functional_modes(model, directions, pairs),
    )
    milliseconds = 1e3 * statistics.median(ours for _, ours in found) / DIRECTIONS
    yield median_row(
        "responses in closed form against torch.func.jvp, one thread",
        "x",
        [automatic / ours for automatic, ours in found],
        arithmetic="6 GFLOP a direction",
        moved="4.8 MB of responses a direction",
        note=f"{milliseconds:.0f} ms a direction",
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
