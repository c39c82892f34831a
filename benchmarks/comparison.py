"""``compare`` on a transformer of 30 million parameters: its cost over the responses alone, and the memory it adds."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import spectral_edge as se
from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS, DRAWS, WINDOW = 3, 4, 10
SEQUENCES, TOKENS, WIDTH, LAYERS = 16, 64, 512, 9
NULLS = ("isotropic", "span", "weights", "blocks")


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(1000, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blocks(self.token(tokens))[:, -1]


def size(response: Tensor) -> float:
    return float(response.square().mean())


def peak() -> float:
    """Largest resident memory of this process until now, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    model = Transformer()
    parameters = se.select_parameters(model, ".")
    tokens = torch.randint(1000, (SEQUENCES, TOKENS))
    updates = torch.empty(WINDOW, parameters.dim)
    for row, drawn in zip(updates, se.iterate_random_directions(WINDOW, parameters), strict=True):
        row.copy_(drawn[0])
    edge = se.spectral_edge(updates, center=False)
    direction = edge.directions(1)
    where = f"CPU, {torch.get_num_threads()} threads"
    copies = f"{parameters.dim / 1e6:.0f} M parameters, a batch of {SEQUENCES} x {TOKENS} tokens, {where}"

    def responses() -> None:
        for _ in range(DRAWS + 1):
            for response in se.iterate_responses(model, direction, tokens, parameters=parameters):
                size(response[0])

    responses()
    before = peak()
    for null in NULLS:
        found = in_turns(
            ROUNDS,
            responses,
            lambda null=null: se.compare(
                model, edge, tokens, {"size": size}, parameters=parameters, k=1, nulls=null, draws=DRAWS
            ),
        )
        yield median_row(
            f"compare with the null {null} against the responses alone",
            "x",
            [ours / alone for alone, ours in found],
            at_most=1.3,
            note=f"{copies}; {sum(alone for alone, _ in found) / ROUNDS / (DRAWS + 1):.2f} s a response",
        )
    yield median_row(
        "memory that compare adds to the responses, in copies of the parameters",
        "x",
        [(peak() - before) / (4 * parameters.dim)],
        at_most=3,
        note=copies,
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
