"""Steps of our training against a plain loop over nn.TransformerEncoder, one thread, in one process, in turns.

A step of 512 pairs needs 1.05 GFLOP of matrix products: 175 million multiply-adds forward (the projections of the first
layer from a table of 194 rows, the last layer at one position only), twice that backward; the plain loop 1.65 GFLOP. It
moves 8 MB of parameters, moments and gradients, and some 40 MB of activations, which fit no second-level cache.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS, STEPS, SEEDS = 9, 42, (42, 137, 2024)
# (rows, in, out) of every matrix product forward; each has two backward.
PRODUCTS = (
    [(194, 128, 384), (1024, 128, 128), (1024, 128, 256), (1024, 256, 128)]
    + [(512, 128, 128)] * 3
    + [(1024, 128, 128), (512, 128, 256), (512, 256, 128), (512, 128, 97)]
)


class PlainTransformer(nn.Module):
    """The reference model as anyone would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(97, 128)
        self.pos_emb = nn.Parameter(torch.randn(2, 128) / math.sqrt(128))
        layer = nn.TransformerEncoderLayer(128, 4, 256, 0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.ln = nn.LayerNorm(128)
        self.head = nn.Linear(128, 97)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        x = torch.stack([self.tok_emb(a), self.tok_emb(b)], dim=1) + self.pos_emb
        return self.head(self.ln(self.encoder(x)[:, 0]))


class PlainTraining:
    """The published protocol as a plain loop."""

    def __init__(self) -> None:
        task = se.ModularTask("add", 97)
        train = task.split(0.5, 42).train
        self.pairs, self.labels = torch.from_numpy(task.pairs[train]), torch.from_numpy(task.labels[train])
        self.model = PlainTransformer()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
        self.batches = np.random.RandomState(42)

    def step(self) -> None:
        index = torch.from_numpy(self.batches.randint(0, len(self.pairs), 512))
        loss = F.cross_entropy(self.model(self.pairs[index, 0], self.pairs[index, 1]), self.labels[index])
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


class Products:
    """The matrix products of a step, and nothing else."""

    def __init__(self) -> None:
        self.operands = [(torch.randn(n, i), torch.randn(o, i), torch.randn(n, o)) for n, i, o in PRODUCTS]

    def step(self) -> None:
        for x, weight, d in self.operands:
            _ = x @ weight.T, d @ weight, d.T @ x


class Together:
    """A third of a step of three seeds in one pass."""

    def __init__(self) -> None:
        trainings = [se.Training(se.TrainingConfig(seed=seed)) for seed in SEEDS]
        self.steps = se.train_together(trainings)

    def step(self) -> None:
        next(self.steps)


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    sides = (PlainTraining(), se.Training(se.TrainingConfig()), Products(), Together())
    found = in_turns(ROUNDS, *((lambda side=side: [side.step() for _ in range(STEPS)]) for side in sides))
    plain, ours, products, together = ([1e3 * seconds / STEPS for seconds in side] for side in zip(*found, strict=True))

    def over(side: list[float], other: list[float]) -> list[float]:
        return [a / b for a, b in zip(side, other, strict=True)]

    yield median_row(
        "training step, one thread",
        "x",
        over(plain, ours),
        at_least=1.9,
        arithmetic="1.05 GFLOP of matrix products; plain 1.65",
        moved="8 MB of parameters and moments, 40 MB of activations",
        note=f"{statistics.median(ours):.1f} ms, plain {statistics.median(plain):.1f}; "
        f"{statistics.median(over(ours, products)):.2f} x its matrix products alone",
    )
    yield median_row(
        "three seeds in one pass against one by one",
        "x",
        over(ours, together),
        note="for accelerators; what is shared here falls out of the cache",
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
