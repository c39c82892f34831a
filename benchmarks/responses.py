"""Responses to random directions: closed-form derivative against torch.func.jvp, one thread, same process.

Run with ``make bench``. The two sides take turns; the figure is the median of the ratios of neighbouring rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import spectral_edge as se

ROUNDS, DIRECTIONS = 5, 8


def residual(model: nn.Module, pairs: Tensor) -> Tensor:
    return model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]


def main() -> None:
    torch.set_num_threads(1)
    model, pairs = se.ModularTransformer(p=97), se.ModularTask("add", p=97).pairs
    directions = se.random_directions(DIRECTIONS, se.attention_weights(model).dim, seed=0)

    def seconds(forward: Callable[[nn.Module, Tensor], Tensor] | None) -> float:
        start = time.perf_counter()
        se.functional_modes(model, directions, pairs, forward=forward)
        return (time.perf_counter() - start) / DIRECTIONS

    for forward in (None, residual):
        seconds(forward)  # warm-up
    rounds = [(seconds(residual), seconds(None)) for _ in range(ROUNDS)]
    speedup = [automatic / closed for automatic, closed in rounds]
    print(f"torch.func.jvp {1e3 * statistics.median(a for a, _ in rounds):6.1f} ms a direction on the whole grid")
    print(f"closed form    {1e3 * statistics.median(c for _, c in rounds):6.1f} ms")
    print(f"speed-up {statistics.median(speedup):.2f}x (range {min(speedup):.2f} to {max(speedup):.2f})")


if __name__ == "__main__":
    main()
