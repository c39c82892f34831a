"""Seconds of an analysis: the null of 200 random directions against a plain version, and one finished run whole.

Run with ``make bench``, or with paths of finished runs, instead of one that is trained for it, whose analysis is timed:
of a copy, as ``reproduce --profile quick`` does it. The plain version is what one would write first: a finite
difference a direction through ``nn.TransformerEncoder``, also for mixtures of directions, averages group by group. It
is timed on three of the directions, a triple with its mixtures, and the two sides take turns.

What has to be computed: a response is about 6 GFLOP on the 97 x 97 grid (20 d² multiply-adds an input, d = 128), 200 of
them 1.2 TFLOP, 13 s of one core at 90 GFLOP/s; Gram matrices add 31 GFLOP in float64. They write 963 MB.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

import spectral_edge as se
from benchmarks.rows import Row, median_row, show, timed
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication import AnalysisConfig, analyze_run
from spectral_edge.subjects import RunConfig, open_run, run_folder, train_run

ROUNDS, DIRECTIONS, PLAIN_DIRECTIONS, THREADS, P = 5, 200, 3, 2, 97


def statistics() -> dict[str, object]:
    """Shares of the sum, and what the study of modes asks of every direction, about as often."""
    task = se.ModularTask("add", P)
    test = np.isin(np.arange(len(task.pairs)), task.split(0.5, 42).test)
    found: dict[str, object] = {"sum": se.CharacterShare(task.pairs, P, "sum"), "rank": se.EffectiveRank()}
    for basis in ("sum", "discrete_log"):
        q = se.grouping(basis, P)
        labels = np.where(test, q(task.pairs), -1)
        for component in (None, 1, 2, 3):
            found[f"{basis} {component}"] = se.Concentration(labels, q.order, component)
            found[f"share {basis} {component}"] = se.VarianceShare(labels, q.order, component)
    return found


def ours(model: nn.Module, directions: torch.Tensor, draws: int = 2) -> np.ndarray:
    """The shares of the sum of directions, held against random ones."""
    pairs = se.ModularTask("add", P).pairs
    found = se.compare(
        model, directions, pairs, statistics(), nulls="isotropic", draws=draws, threads=THREADS, quiet=True
    )
    return np.array([row.measured for row in found.rows if row.statistic == "sum"])


class PlainTransformer(nn.Module):
    """The same model as anyone would write it, up to the stream that is read."""

    def __init__(self, trained: nn.Module) -> None:
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(P, 128), nn.Parameter(torch.zeros(2, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 256, 0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.load_state_dict(trained.state_dict(), strict=False)
        self.eval()

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return self.encoder(self.tok_emb(pairs) + self.pos_emb)[:, 0]


@torch.no_grad()
def plain(model: nn.Module, directions: torch.Tensor) -> np.ndarray:
    """One triple of directions after the other; the statistics of :func:`ours`."""
    task = se.ModularTask("add", P)
    pairs, copy, subset = torch.from_numpy(task.pairs), PlainTransformer(model), se.attention_weights(model)
    weights = {name: w for name, w in copy.named_parameters() if name in subset.names}
    epsilon = 0.005 * float(subset.flatten().norm())
    base = copy(pairs)
    test = task.split(0.5, 42).test

    def response(direction: torch.Tensor) -> torch.Tensor:
        for name, step in subset.unflatten(epsilon * direction).items():
            weights[name] += step
        moved = copy(pairs)
        for name, step in subset.unflatten(epsilon * direction).items():
            weights[name] -= step
        return ((moved - base) / epsilon).double()

    shares = []
    for v1, v2, v3 in directions.split(3):
        functions = []
        for direction in (v1, v2, v3):
            dh = response(direction)
            share = torch.linalg.svdvals(dh) ** 2
            share /= share.sum()
            torch.exp(-(share * share.log()).sum())
            left, s, _ = torch.linalg.svd(dh - dh.mean(0), full_matrices=False)
            energy = dh.square().sum(1).numpy()
            functions += [energy, *(left[:, :3] * s[:3]).T.numpy()]
            shares.append(plain_share_of_the_sum(energy))
        for mixture in (v1 + v2, v1 + v3, v2 + v3, v1 + v2 + v3):
            functions.append(response(mixture / mixture.norm()).square().sum(1).numpy())
        for basis in ("sum", "discrete_log"):
            q = se.grouping(basis, P)
            for values in functions:
                plain_profile(values[test], q(task.pairs[test]), q.order)
    return np.array(shares)


def plain_profile(values: np.ndarray, labels: np.ndarray, order: int) -> tuple[float, int, float]:
    """Concentration, peak and share of variance."""
    groups = [values[labels == q] for q in range(order)]
    mean = np.mean([group.mean() for group in groups if len(group)])
    means = [group.mean() if len(group) else mean for group in groups]
    power = np.abs(np.fft.rfft(means)[1 : order // 2 + 1]) ** 2
    kept = values[labels >= 0]
    between = sum(len(g) * (g.mean() - kept.mean()) ** 2 for g in groups if len(g)) / len(kept)
    return power.max() / power.sum(), int(power.argmax()) + 1, between / kept.var()


def plain_share_of_the_sum(energy: np.ndarray) -> float:
    """The power of every character, and the share of those on the line of the sum."""
    power = np.abs(np.fft.fft2((energy - energy.mean()).reshape(P, P))) ** 2
    return power.diagonal().sum() / power.sum()


def null_rows() -> Iterator[Row]:
    """The null of 200 directions, and how much faster than the plain version."""
    torch.manual_seed(0)
    model = se.ModularTransformer(p=P)
    directions = se.random_directions(PLAIN_DIRECTIONS, se.attention_weights(model).dim, seed=0)
    # The plain version is a finite difference, so it agrees to the size of the step. Warms both up, too.
    np.testing.assert_allclose(ours(model, directions[:3]), plain(model, directions[:3]), rtol=0.05)
    seconds, ratios = [], []
    for _ in range(ROUNDS):
        torch.set_num_threads(THREADS)
        slow = timed(lambda: plain(model, directions[:PLAIN_DIRECTIONS])) * DIRECTIONS / PLAIN_DIRECTIONS
        torch.set_num_threads(1)
        seconds.append(timed(lambda: ours(model, directions[:1], DIRECTIONS)))
        ratios.append(slow / seconds[-1])
    name = f"null of {DIRECTIONS} directions on the whole grid, two cores"
    size = {
        "arithmetic": "1.2 TFLOP float32, 31 GFLOP float64: 7 s on two cores",
        "moved": "963 MB of responses, written once, read four times",
    }
    yield median_row(name, "s", seconds, at_most=20, **size)
    # Without a goal: the plain version spends most of its time in the same matrix products, on two threads.
    note = f"plain: {PLAIN_DIRECTIONS} directions on two threads, scaled to {DIRECTIONS}"
    yield median_row(f"{name}, against a plain version", "x", ratios, note=note, **size)


def run_row(path: Path) -> Row:
    """The analysis of one finished run, as ``reproduce --profile quick`` does it."""
    seconds = []
    for round_ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / str(round_)
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("analysis-*"))
            seconds.append(timed(partial(analyze_run, copy, AnalysisConfig(), threads=THREADS)))
    return median_row(
        f"analysis of a finished run of {open_run(path)[1].training.operation}, two cores",
        "s",
        seconds,
        at_most=50,  # a null of 20 s a checkpoint, and what else there is
        arithmetic="1.3 TFLOP float32 a checkpoint",
        moved="1 GB of responses a checkpoint",
        note="addition is analysed at two checkpoints, the other operations at one",
    )


def main() -> None:
    for row in null_rows():
        show(row)
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(training=TrainingConfig(operation="add", seed=42))
        runs = [Path(given) for given in sys.argv[1:]] or [train_run(run_folder(Path(folder), config), config).path]
        for path in runs:
            show(run_row(path))


if __name__ == "__main__":
    main()
