"""How costs grow: exponents of a power law fitted through medians, beside those that the arithmetic has.

Two threads. ``p`` is the modulus, D recorded parameters, W the window, k directions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

import spectral_edge as se
from benchmarks.rows import Row, show, timed

ROUNDS, THREADS = 5, 2


def grown(
    name: str, expected: str, bounds: tuple[float, float], cases: Sequence[tuple[int, Callable[[], object]]]
) -> Row:
    """Fit seconds ~ size^exponent; cases take turns. Least and largest are those of single rounds."""
    for _, work in cases:
        work()
    rounds = [[timed(work) for _, work in cases] for _ in range(ROUNDS)]
    sizes = np.log([size for size, _ in cases])

    def exponent(seconds: Sequence[float]) -> float:
        return float(np.polyfit(sizes, np.log(seconds), 1)[0])

    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    each = [exponent(seconds) for seconds in rounds]
    value = exponent(medians)
    took = ", ".join(f"{size:g}: {seconds:.2g} s" for (size, _), seconds in zip(cases, medians, strict=True))
    met = bounds[0] <= value <= bounds[1]
    return Row(name, "", f"expected {expected}", value, min(each), max(each), ROUNDS, met, note=took)


def moduli() -> Iterator[Row]:
    steps, responses, spectra = [], [], []
    for p in (53, 97, 149, 211):
        training = se.Training(se.TrainingConfig(p=p))
        directions = se.random_directions(8, se.attention_weights(training.model).dim, seed=0)
        pairs = training.task.pairs
        grids = np.random.default_rng(0).standard_normal((16, p, p))
        steps.append((p, lambda training=training: [training.step() for _ in range(10)]))
        responses.append((p, lambda t=training, v=directions, x=pairs: se.functional_modes(t.model, v, x)))
        spectra.append((p, lambda grids=grids: se.character_spectrum(grids)))
    yield grown(
        "training step, p = 53 to 211", "0 to 0.3: a batch is 512 pairs, head and table grow", (-0.1, 0.35), steps
    )
    yield grown("responses on the whole grid, p = 53 to 211", "2: one an input", (1.7, 2.2), responses)
    yield grown("signed 2-D spectra, p = 53 to 211", "2, and a logarithm", (1.6, 2.6), spectra)


def windows() -> Iterator[Row]:
    updates = [torch.empty(20, 10**exponent).uniform_(-1, 1) for exponent in (5, 6, 7, 8)]
    cases = [(rows.shape[1], lambda rows=rows: se.spectral_edge(rows)) for rows in updates]
    yield grown("spectrum, W = 20, D = 1e5 to 1e8", "1", (0.85, 1.1), cases)
    del updates, cases
    rows = torch.randn(80, 131_072)
    cases = [(w, lambda w=w: se.spectral_edge(rows[:w])) for w in (5, 10, 20, 40, 80)]
    yield grown("spectrum, D = 131 072, W = 5 to 80", "1 (bytes) to 2 (arithmetic)", (0.8, 2.1), cases)


def directions() -> Iterator[Row]:
    model, pairs = se.ModularTransformer(p=23), se.ModularTask("add", p=23).pairs
    drawn = se.random_directions(512, se.attention_weights(model).dim, seed=0)
    cases = [(k, lambda k=k: se.functional_modes(model, drawn[:k], pairs)) for k in (1, 8, 64, 512)]
    yield grown("responses, k = 1 to 512 directions, p = 23", "1, less at first", (0.7, 1.1), cases)


def rows() -> Iterator[Row]:
    torch.set_num_threads(THREADS)
    yield from moduli()
    yield from directions()
    yield from windows()


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
