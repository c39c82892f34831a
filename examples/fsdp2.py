"""Watch a model sharded by FSDP2: `torchrun --nproc-per-node 2 examples/fsdp2.py`. No process gathers anything."""

import pydoc_data.topics

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

import spectral_edge as se

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))


class LanguageModel(nn.Module):
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.token = nn.Embedding(128, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.head = nn.Linear(width, 128)

    def forward(self, tokens: Tensor) -> Tensor:
        x, mask = self.token(tokens), nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        return self.head(x)


dist.init_process_group("gloo")
torch.manual_seed(0)
model = LanguageModel()
for block in model.blocks:
    fully_shard(block)
fully_shard(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
batches = torch.Generator().manual_seed(dist.get_rank())
with se.watch(model, optimizer, parameters="attention", window=10, every=2, run_dir="recordings/fsdp2") as recorder:
    for _ in range(60):
        start = torch.randint(len(text) - 33, (8, 1), generator=batches)
        tokens = text[start + torch.arange(33)]
        loss = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    edge = recorder.edge()  # in all processes
shard = edge.directions(3)  # this process's part of v1…v3
print(f"process {dist.get_rank()}: loss {loss:.2f}; {edge}; {tuple(shard.shape)} of {recorder.parameters}", flush=True)
dist.destroy_process_group()
