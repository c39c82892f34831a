"""Steps per second of our training against a plain loop over nn.TransformerEncoder, one thread, same process.

Run with ``make bench``. The two sides take turns; the figure is the median of the ratios of neighbouring rounds.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import spectral_edge as se

ROUNDS, STEPS = 9, 40


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


def seconds_per_step(side: PlainTraining | se.Training) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        side.step()
    return (time.perf_counter() - start) / STEPS


def main() -> None:
    torch.set_num_threads(1)
    plain, ours = PlainTraining(), se.Training(se.TrainingConfig())
    watched = se.Training(se.TrainingConfig())
    rounds = []
    with se.watch(watched.model, watched.optimizer, window=20):
        for side in (plain, ours, watched):
            seconds_per_step(side)  # warm-up
        rounds = [tuple(seconds_per_step(side) for side in (plain, ours, watched)) for _ in range(ROUNDS)]
    speedup = [p / o for p, o, _ in rounds]
    overhead = [w / o - 1 for _, o, w in rounds]
    print(f"plain   {1e3 * statistics.median(p for p, _, _ in rounds):6.2f} ms/step")
    print(f"ours    {1e3 * statistics.median(o for _, o, _ in rounds):6.2f} ms/step")
    print(f"speed-up {statistics.median(speedup):.2f}x (range {min(speedup):.2f} to {max(speedup):.2f})")
    low, high = min(overhead), max(overhead)
    print(f"recording every step costs {statistics.median(overhead):+.1%} (range {low:+.1%} to {high:+.1%})")


if __name__ == "__main__":
    main()
