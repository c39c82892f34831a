"""Token modes of a language model with GPT-2's vocabulary: cost over a forward pass, memory over a training step."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS, DIRECTIONS = 3, 8
VOCABULARY, TOKENS, SEQUENCES, FEW = 50_257, 128, 64, 8


def model_of() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=TOKENS, n_embd=256, n_layer=4, n_head=8, use_cache=False)
    return GPT2LMHeadModel(config).eval()


def directions_of(parameters: se.ParameterSubset) -> torch.Tensor:
    return torch.cat(list(se.iterate_random_directions(DIRECTIONS, parameters)))


def peak(what: str) -> float:
    """Largest resident memory, in bytes, of a process of its own that does it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.language", what], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def do(what: str) -> None:
    """One of the things whose memory is compared, then the peak of this process."""
    model = model_of()
    ids = torch.randint(VOCABULARY, (SEQUENCES, TOKENS))
    if what == "training":
        model(input_ids=ids, labels=ids).loss.backward()
    if what == "modes":
        parameters = se.attention_weights(model)
        se.token_modes(model, directions_of(parameters), ids, parameters=parameters)
    # Not getrusage, whose peak a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text()
    print(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))  # type: ignore[index]


def rows() -> Iterator[Row]:
    model = model_of()
    parameters = se.attention_weights(model)
    directions = directions_of(parameters)
    ids = torch.randint(VOCABULARY, (FEW, TOKENS))
    where = f"GPT-2 of 4 layers, width 256, vocabulary {VOCABULARY}, {torch.get_num_threads()} threads"

    def forward() -> None:
        with torch.no_grad():
            model(input_ids=ids)

    def modes() -> None:
        se.token_modes(model, directions, ids, parameters=parameters)

    forward()
    found = in_turns(ROUNDS, forward, modes)
    yield median_row(
        "token modes, a direction, against a forward pass of the same tokens",
        "x",
        [ours / DIRECTIONS / alone for alone, ours in found],
        at_most=3.5,
        note=f"{where}, {FEW} x {TOKENS} tokens, {DIRECTIONS} directions",
    )
    nothing = peak("nothing")
    yield median_row(
        "peak memory of token modes against a forward and backward pass",
        "x",
        [(peak("modes") - nothing) / (peak("training") - nothing)],
        at_most=1.5,
        note=f"{where}, {SEQUENCES} x {TOKENS} tokens, {DIRECTIONS} directions; beyond the model and its libraries",
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    do(sys.argv[1]) if len(sys.argv) > 1 else main()
