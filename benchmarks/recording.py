"""What watching costs: time against the same loop unwatched, memory against the bytes of a window, spectra against SVD.

Also by parts: ``python -m benchmarks.recording overhead memory spectrum sketch``. Two threads.
Watched and unwatched steps of the small model take turns, so that noise of the machine falls on both; a round is the
median of the ratios of neighbours, a figure the median of five rounds beside their range. The large model's steps take
longer than the noise of a shared machine stays the same, so there the time inside the recorder is set against that of
the steps around it. Memory is the peak
resident set of a process of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import spectral_edge as se
from benchmarks.rows import Row, median_row, show, timed
from spectral_edge.parameters import Block, Shard
from spectral_edge.spectrum import CountSketch, noise_floor

ROUNDS, WINDOW, THREADS = 5, 20, 2


class LanguageModel(nn.Module):
    """33.8 million parameters, 8.4 million of them in attention."""

    def __init__(self, width: int = 512, layers: int = 8, vocabulary: int = 8192) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.blocks(self.token(tokens), mask=mask, is_causal=True))


class LanguageTraining:
    """1024 tokens a step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = LanguageModel()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self) -> None:
        tokens = torch.randint(8192, (8, 129))
        loss = nn.functional.cross_entropy(self.model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def overhead_of(
    training: LanguageTraining | se.Training, groups: int, steps: int, settings: Callable[[], dict] = dict
) -> list[float]:
    """Relative overhead in each round: groups of steps with and without hooks take turns on one model."""
    found = []
    for _ in range(ROUNDS):
        with_recorder, without = [], []
        with se.watch(training.model, training.optimizer, window=WINDOW, verbose=False, **settings()) as recorder:
            for _ in range(groups):
                with_recorder.append(timed(lambda: [training.step() for _ in range(steps)]))
                held = [dict(o) for o in hooks(training.optimizer)]
                for hook in hooks(training.optimizer):
                    hook.clear()
                without.append(timed(lambda: [training.step() for _ in range(steps)]))
                for hook, before in zip(hooks(training.optimizer), held, strict=True):
                    hook.update(before)
            assert recorder.stopped is None
            assert recorder.window.pushed
        found.append(statistics.median(a / b for a, b in zip(with_recorder, without, strict=True)) - 1)
    return found


def hooks(optimizer: torch.optim.Optimizer) -> tuple[dict, dict]:
    return optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks


def overhead() -> Iterator[Row]:
    small = se.Training(se.TrainingConfig())
    for _ in range(50):
        small.step()
    seconds = statistics.median(timed(small.step) for _ in range(100))
    name = f"290 401 parameters ({1e3 * seconds:.1f} ms a step), attention, every=1"

    def row(name: str, goal: float, found: list[float]) -> Row:
        return median_row(f"recording, {name}", "%", [100 * share for share in found], at_most=goal)

    yield row(f"{name}, no log", 3, overhead_of(small, 150, 1))
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / str(number) for number in range(ROUNDS))
        logged = overhead_of(small, 15, WINDOW, lambda: {"run_dir": next(places)})
        yield row(f"{name}, spectrum of every window to disk", 3, logged)
    yield row(f"{name}, of it what is watched beside the spectrum", 1, share_of_monitor(small))
    large = LanguageTraining()
    large.step()
    for what, selector in (("attention, 8.4 M", "attention"), ("all", ".")):
        shares, seconds = share_inside(large, 10, parameters=selector)
        name = f"33.8 M parameters ({seconds:.1f} s a step), {what}, every=10, no log"
        yield row(name, 1, shares)


def share_of_monitor(training: se.Training) -> list[float]:
    """Time that norms, rates and layers of a window take, over that of its W steps without it, round by round."""
    inside: list[float] = []
    with se.watch(
        training.model, training.optimizer, window=WINDOW, verbose=False, callback=lambda values: None
    ) as recorder:
        monitor = recorder._log._monitor
        added_to = monitor.added_to

        def timed_added_to(*arguments: object) -> object:
            found: list[object] = []
            inside.append(timed(lambda: found.append(added_to(*arguments))))
            return found[0]

        monitor.added_to = timed_added_to
        seconds = [timed(lambda: [training.step() for _ in range(WINDOW)]) for _ in range(4 * ROUNDS)]
        assert recorder.stopped is None
    assert len(inside) == len(seconds)
    shares = [share / (whole - share) for share, whole in zip(inside, seconds, strict=True)]
    return [statistics.median(shares[i::ROUNDS]) for i in range(ROUNDS)]


def share_inside(training: LanguageTraining, every: int, **settings: object) -> tuple[list[float], float]:
    """Time in the recorder over that of ``every`` steps without it, a round a recorded update; seconds of a step."""
    inside: list[float] = []
    with se.watch(
        training.model, training.optimizer, window=WINDOW, every=every, verbose=False, **settings
    ) as recorder:
        commit = recorder.commit
        recorder.commit = lambda: inside.append(timed(commit))
        steps = [timed(training.step) for _ in range(ROUNDS * every)]
        assert recorder.stopped is None
        assert recorder.window.pushed == ROUNDS
    spent = np.array(inside).reshape(ROUNDS, every).sum(1)
    total = np.array(steps).reshape(ROUNDS, every).sum(1)
    return (spent / (total - spent)).tolist(), float(np.median(steps))


def memory() -> Iterator[Row]:
    """Peak resident set of a process that trains the large model, less that of one unwatched, round by round."""

    def peak(*settings: str) -> int:
        command = [sys.executable, "-m", "benchmarks.recording", "--peak", *settings]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    models = (("attention", 8_388_608), (".", 33_807_360))
    sides = [(storage, selector) for storage in ("float32", "bfloat16", "sketch") for selector, _ in models]
    extra: dict[tuple[str, str], list[int]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        unwatched = peak()
        for side in sides:
            extra[side].append(peak(*side) - unwatched)
    for storage, size in (("float32", 4), ("bfloat16", 2)):
        for selector, dim in models:
            found, bound = extra[storage, selector], WINDOW * dim * size
            yield median_row(
                f"peak memory, {storage}, W = {WINDOW}, {dim / 1e6:.1f} M recorded, above W x D x {size} bytes",
                "%",
                [100 * (each / bound - 1) for each in found],
                at_most=5,
                note=f"{statistics.median(found) / 2**20:,.0f} MiB",
            )
    for selector, dim in models:
        found = [each / 2**20 for each in extra["sketch", selector]]
        yield median_row(f"peak memory, sketch, m = 4096, {dim / 1e6:.1f} M recorded", "MiB", found, note="no D")


def print_peak(storage: str | None, selector: str | None) -> None:
    torch.set_num_threads(THREADS)
    training = LanguageTraining()
    small = torch.randint(8192, (1, 9))

    def step() -> None:  # a short batch: what is measured is parameters and their updates
        loss = training.model(small).square().mean()
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()

    settings = {} if storage is None else {"storage": storage, "parameters": selector, "window": WINDOW}
    recorder = se.watch(training.model, training.optimizer, verbose=False, **settings) if settings else None
    for _ in range(WINDOW + 3):
        step()
    if recorder is not None:
        recorder.window.edge(center=False, copy=False)
        assert recorder.stopped is None
    status = Path("/proc/self/status").read_text()
    print(1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]))


def spectrum() -> Iterator[Row]:
    updates = torch.randn(WINDOW, 131_072)
    sides = {
        "svd": lambda: np.linalg.svd(updates.numpy(), full_matrices=False),
        "spectrum": lambda: se.spectral_edge(updates),
        "directions": lambda: se.spectral_edge(updates).directions(3),
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            time.sleep(0.5)  # the threads of either library spin on for a while, and would slow whoever comes next
            found[name].append(timed(side))
    for what, name in (("spectrum", "spectrum"), ("directions", "spectrum and three directions")):
        ratios = [a / b for a, b in zip(found["svd"], found[what], strict=True)]
        goal = {"at_least": 10} if what == "spectrum" else {}
        note = f"{1e3 * statistics.median(found[what]):.1f} ms"
        yield median_row(f"{name} of 20 x 131 072 against numpy.linalg.svd", "x", ratios, **goal, note=note)


def real_windows(count: int) -> Iterator[Tensor]:
    """Windows of single steps of addition mod 97, from memorising to generalising."""
    training = se.Training(se.TrainingConfig())
    subset = se.attention_weights(training.model)
    for _ in range(count):
        for _ in range(100):
            training.step()
        theta = [subset.flatten()]
        for _ in range(WINDOW):
            training.step()
            theta.append(subset.flatten())
        yield torch.stack([after - before for before, after in pairwise(theta)])


def sketch(m: int = 4096, windows: int = 24) -> Iterator[Row]:
    dim = 131_072
    above: list[float] = []
    for number, updates in enumerate(real_windows(windows)):
        exact = se.spectral_edge(updates, center=False)
        mapped = CountSketch(m, [Shard(f"window {number}", (dim,), (dim,), (0,))])  # other hashes each time
        rows = torch.stack([mapped([Block(0, 0, slice(0, dim), update)]) for update in updates])
        found = se.spectral_edge(rows, center=False)
        floor = noise_floor(found, m)
        errors = np.abs(found.gap_ratios / exact.gap_ratios - 1)
        above += errors[exact.singular_values[1:] > floor].tolist()
    rms = 100 * np.sqrt(np.mean(np.square(above)))
    theory = f"rms {rms:.2f} % of {len(above)}; theory 1/sqrt(m) = {100 / m**0.5:.2f} % rms for separated ones"
    name = f"sketch, m = {m}: error of gap ratios above the noise floor, {windows} windows of addition"
    yield median_row(name, "%", [100 * error for error in above], at_most=1, note=theory)
    big = torch.randn(10_000_000)
    mapped = CountSketch(m, [Shard("big", (len(big),), (len(big),), (0,))])
    pieces = [Block(0, 0, slice(0, len(big)), big)]
    per_entry = [1e9 * timed(lambda: mapped(pieces)) / len(big) for _ in range(ROUNDS)]
    yield median_row("sketch, time an entry, two threads", "ns", per_entry)


PARTS = {"overhead": overhead, "memory": memory, "spectrum": spectrum, "sketch": sketch}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--peak"]:
        print_peak(*(arguments[1:] or [None, None]))
        return
    torch.set_num_threads(THREADS)
    for part in arguments or PARTS:
        for row in PARTS[part]():
            show(row)


if __name__ == "__main__":
    main()
