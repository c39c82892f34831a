"""The reference model as anyone would write it: every token, every layer, every position."""

import math

import torch
from torch import nn


class PlainTransformer(nn.Module):
    def __init__(self, p=97, d_model=128, n_heads=4, n_layers=2, d_mlp=256):
        super().__init__()
        self.tok_emb = nn.Embedding(p, d_model)
        self.pos_emb = nn.Parameter(torch.randn(2, d_model) / math.sqrt(d_model))
        layer = nn.TransformerEncoderLayer(
            d_model, n_heads, d_mlp, 0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.ln = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, p)

    def residual(self, a, b):
        return self.encoder(torch.stack([self.tok_emb(a), self.tok_emb(b)], dim=1) + self.pos_emb)[:, 0]

    def forward(self, a, b):
        return self.head(self.ln(self.residual(a, b)))
