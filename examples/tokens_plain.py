"""Train a language model of your own in a plain loop, then see which tokens its last fifty steps changed."""

import pydoc_data.topics

import torch
from torch import Tensor, nn

import spectral_edge as se

CONTEXT, WIDTH = 64, 48
text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))


class Characters:
    """A tokenizer is anything with decode."""

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(128, WIDTH)
        self.position = nn.Parameter(torch.randn(CONTEXT, WIDTH) / 10)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 128)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.blocks(self.token(tokens) + self.position[: tokens.shape[1]], mask=mask, is_causal=True))


def batch(size: int, start: int, stop: int) -> Tensor:
    begin = torch.randint(start, stop - CONTEXT, (size, 1))
    return text[begin + torch.arange(CONTEXT)]


torch.manual_seed(0)
model, half = LanguageModel(), len(text) // 2
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
with se.watch(
    model, optimizer, parameters="attention", window=10, every=5, run_dir="recordings/tokens_plain"
) as recorder:
    for _ in range(150):
        tokens = batch(16, 0, half)
        loss = nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

edge, held_out = recorder.edge(center=False), batch(32, half, len(text))
modes = se.token_modes(model, edge, held_out, k=1)
print(modes)
print(modes.prompts(tokenizer=Characters()).head(3))
print(modes.html("tokens.html", Characters()))
change = se.explained_change(model, edge, held_out, forward=se.token_log_probabilities, draws=4)
print(change.table.select("by", "k", "r2", "low", "high"))
