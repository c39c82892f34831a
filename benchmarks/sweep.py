"""Runs an hour of a sweep against a plain loop that trains them one after the other on two threads, in turns.

The 36 runs of the paper are 5000 steps each. Two runs of 600 steps stand for them: ours in two processes of one thread,
with snapshots, recorder, a checkpoint and evaluations, the plain loop in one process of two threads with evaluations
only. So part of the ratio is that two processes use two cores better than two threads do; a third side, two plain
processes of one thread, says how much. What a process needs before its first step (imports, compiling) is not in the
ratio; it is stated.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show, timed
from benchmarks.training import PlainTraining
from spectral_edge.engines import LocalEngine
from spectral_edge.subjects import RunConfig, train_run

ROUNDS, RUNS, STEPS = 5, 2, 600


def plain_run(threads: int = 2) -> None:
    torch.set_num_threads(threads)
    training = PlainTraining()
    task = se.ModularTask("add", 97)
    split = task.split(0.5, 42)
    sides = [(torch.from_numpy(task.pairs[i]), torch.from_numpy(task.labels[i])) for i in (split.train, split.test)]
    for step in range(1, STEPS + 1):
        training.step()
        if step % 100 == 0:
            with torch.no_grad():
                for pairs, labels in sides:
                    logits = training.model(pairs[:, 0], pairs[:, 1])
                    _ = torch.nn.functional.cross_entropy(logits, labels), (logits.argmax(-1) == labels).float().mean()


def our_run(folder: str, seed: int, steps: int = STEPS) -> None:
    training = se.TrainingConfig(seed=seed, max_steps=steps)
    path = Path(folder) / str(seed)
    train_run(path, RunConfig(training=training, window=40, keep_updates=True))
    shutil.rmtree(path)


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def rows() -> Iterator[Row]:
    with LocalEngine(RUNS) as engine, tempfile.TemporaryDirectory() as folder:

        def ours(steps: int = STEPS) -> None:
            both(our_run, *((folder, seed, steps) for seed in range(RUNS)))

        def both(function: Callable[..., None], *arguments: tuple) -> None:
            for number, given in enumerate(arguments):
                engine.place(str(number), function, *given)
            left = len(arguments)
            while left:
                for ended in engine.collect(1.0):
                    ended.result()
                    left -= 1

        start_up = timed(lambda: ours(1))
        found = in_turns(
            ROUNDS,
            lambda: [plain_run() for _ in range(RUNS)],
            lambda: both(plain_run, *[(1,)] * RUNS),
            ours,
        )
    plain, processes, sweep = zip(*found, strict=True)
    per_hour = 3600 * RUNS / statistics.median(sweep) / (5000 / STEPS)
    # A run evaluates and writes what a plain one does not; apart from that the ratio is that of the training step.
    yield median_row(
        "sweep of runs of 5000 steps against plain processes of one thread, two cores",
        "x",
        [a / b for a, b in zip(processes, sweep, strict=True)],
        at_least=1.7,
        arithmetic="5.3 TFLOP a run; plain 8.3",
        moved="60 MB of files a run",
        note=f"{per_hour:.0f} runs an hour; {ratio(plain, sweep):.2f} x one plain process of two threads; "
        f"first steps after {start_up:.0f} s",
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
