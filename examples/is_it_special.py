"""Train a small GPT-2, then ask of its edge: is this direction special, or would any matched direction do it?"""

import pydoc_data.topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import spectral_edge as se

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=64, n_embd=64, n_layer=2, n_head=4))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)


def batch(size):
    return text[torch.randint(len(text) - 48, (size, 1)) + torch.arange(48)]


with se.watch(model, optimizer, parameters="attention", window=20, run_dir="recordings/is_it_special") as recorder:
    for _ in range(100):
        tokens = batch(16)
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def true_token(model, inputs):
    """Log-probability of each next token: (N, T - 1)."""
    logits = model(input_ids=inputs["input_ids"]).logits[:, :-1]
    return logits.log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]


statistics = {"size": lambda h: float(h.square().mean()), "rank": se.effective_rank}
settings = {"parameters": recorder.parameters, "forward": true_token, "draws": 40}
result = se.compare(model, recorder.edge(), {"input_ids": batch(32)}, statistics, **settings)
print(result.table.select("statistic", "null", "measured", "null_mean", "effect", "pvalue"))  # p: of large values
result.plot("is_it_special.png")
