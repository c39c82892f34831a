"""Watch GPT-2 in a loop with Accelerate: attach after `prepare`, register the recorder for checkpoints."""

import pydoc_data.topics
from itertools import islice

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

import spectral_edge as se

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
data = TensorDataset(text[: 32 * 1000].view(-1, 32))


def last_residual(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.transformer(tokens).last_hidden_state[:, -1]


torch.manual_seed(0)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=32, n_embd=48, n_layer=2, n_head=4))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(data, batch_size=8, shuffle=True))

with se.watch(
    model, optimizer, parameters="attention", window=10, every=2, run_dir="recordings/accelerate_loop"
) as recorder:
    accelerator.register_for_checkpointing(recorder)
    for (tokens,) in islice(loader, 120):
        with accelerator.accumulate(model):
            loss = model(tokens, labels=tokens).loss
            accelerator.backward(loss)
            optimizer.step()  # steps on every second batch only
            optimizer.zero_grad()
    accelerator.save_state("checkpoint")

edge = recorder.edge()
modes = se.functional_modes(model, edge.directions(3), data.tensors[0][:64], forward=last_residual)
print(f"loss {loss:.2f}; {edge}")
print(f"{modes}; mean of f1…f3 over inputs: {modes.energy.mean(1).numpy().round(3)}")
