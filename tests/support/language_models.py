"""A causal language model of a few lines, called as those of Transformers are, and a tokenizer of characters."""

from types import SimpleNamespace

import torch
from torch import nn


class TinyLM(nn.Module):
    """One block of causal attention over ``vocabulary`` tokens; a plain tensor of logits if ``plain``."""

    def __init__(self, vocabulary=11, d=8, heads=2, longest=16, plain=False):
        super().__init__()
        self.heads, self.plain = heads, plain
        self.token = nn.Embedding(vocabulary, d)
        self.position = nn.Embedding(longest, d)
        self.attention = nn.ModuleDict({name: nn.Linear(d, d) for name in ("q", "k", "v", "o")})
        self.head = nn.Linear(d, vocabulary)

    def get_input_embeddings(self):
        return self.token

    def forward(self, input_ids, attention_mask=None, position_ids=None):
        n, t = input_ids.shape
        positions = torch.arange(t)[None].expand(n, t) if position_ids is None else position_ids
        x = self.token(input_ids) + self.position(positions)
        q, k, v = (self.attention[name](x).reshape(n, t, self.heads, -1).transpose(1, 2) for name in ("q", "k", "v"))
        allowed = torch.ones(t, t, dtype=torch.bool).tril()[None, None]
        if attention_mask is not None:
            allowed = allowed & attention_mask.bool()[:, None, None]
        scores = (q @ k.mT) / q.shape[-1] ** 0.5
        mixed = (scores.masked_fill(~allowed, -1e9).softmax(-1) @ v).transpose(1, 2).reshape(n, t, -1)
        logits = self.head(torch.tanh(x + self.attention["o"](mixed)))
        return logits if self.plain else SimpleNamespace(logits=logits)


class Characters:
    """Token i is the i-th letter; one token is what would end a script."""

    letters = ("a", "b", "c", "d", "e", "f", "g", "<b>", "</script>", "\n", " ")

    def __len__(self):
        return len(self.letters)

    def decode(self, ids):
        return "".join(self.letters[i] for i in ids)
