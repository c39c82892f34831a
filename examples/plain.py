"""Watch a small language model in a plain PyTorch loop, then ask what its edge does to a prediction."""

import pydoc_data.topics

import torch
from torch import Tensor, nn

import spectral_edge as se

CONTEXT, WIDTH = 32, 48
text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(128, WIDTH)
        self.position = nn.Parameter(torch.randn(CONTEXT, WIDTH) / 10)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 128)

    def residual(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.blocks(self.token(tokens) + self.position, mask=mask, is_causal=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.residual(tokens))


def batch(size: int) -> Tensor:
    start = torch.randint(len(text) - CONTEXT, (size, 1))
    return text[start + torch.arange(CONTEXT + 1)]


def last_residual(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.residual(tokens)[:, -1]


torch.manual_seed(0)
model = LanguageModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
with se.watch(model, optimizer, parameters="attention", window=10, every=2, run_dir="recordings/plain") as recorder:
    for _ in range(60):
        tokens = batch(16)
        logits = model(tokens[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

edge = recorder.edge()
modes = se.functional_modes(model, edge.directions(3), batch(64)[:, 1:], forward=last_residual)
print(f"loss {loss:.2f}; {edge}")
print(f"{modes}; mean of f1…f3 over inputs: {modes.energy.mean(1).numpy().round(3)}")
