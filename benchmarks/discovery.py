"""Discovery of a basis from eight responses, one thread: seconds, and ratio to the kernel and its eigenvectors alone.

The functions are planted: five frequencies of a cyclic group under random names of the tokens,
a third of the variance a function of a + b, the rest products of characters with other phases, and noise. The two sides
take turns; the figure is the median of the ratios of neighbouring rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS, DIRECTIONS, COMPONENTS, FREQUENCIES = 5, 8, 128, 5


def planted(n: int, rng: np.random.Generator) -> np.ndarray:
    """(k, n², c) responses."""
    number = rng.permutation(n)
    frequencies = rng.choice(np.arange(1, n // 2), FREQUENCIES, replace=False)
    z = np.exp(2j * np.pi * np.outer(frequencies, number) / n)
    waves = np.concatenate([z.real, z.imag])
    shape = (DIRECTIONS, COMPONENTS, FREQUENCIES)
    of_sum = np.einsum(
        "kcm,ma,mb->kcab", rng.standard_normal(shape) * np.exp(2j * np.pi * rng.random(shape)), z, z
    ).real
    weights = rng.standard_normal((DIRECTIONS, COMPONENTS, len(waves), len(waves)))
    others = np.einsum("kcij,ia,jb->kcab", weights, waves, waves, optimize=True)
    parts = [part / part.std() for part in (of_sum, others, rng.standard_normal(of_sum.shape))]
    f = parts[0] + 1.2 * parts[1] + 0.8 * parts[2]
    return np.moveaxis(f.reshape(DIRECTIONS, COMPONENTS, n * n), 1, 2)


def kernel_alone(responses: np.ndarray, n: int) -> None:
    f = np.moveaxis(responses, 2, 1).reshape(-1, n, n)
    f = f - f.mean(axis=1, keepdims=True) - f.mean(axis=2, keepdims=True) + f.mean(axis=(1, 2), keepdims=True)
    np.linalg.eigh(sum(g @ g.T + g.T @ g for g in f))


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    for n, goal in ((53, None), (97, 5.0), (211, 60.0)):
        responses = planted(n, np.random.default_rng(n))
        sides = (partial(kernel_alone, responses, n), partial(se.discover_basis, responses, n))
        alone, whole = zip(*in_turns(ROUNDS, *sides), strict=True)
        ratio = statistics.median(b / a for a, b in zip(alone, whole, strict=True))
        found = se.discover_basis(responses, n).law
        law = "no law" if found is None else found.group.name
        note = f"{ratio:.1f} x the kernel and its eigenvectors alone; found {law}"
        yield median_row(f"discovery of a basis, n = {n}, one thread", "s", whole, at_most=goal, note=note)


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
