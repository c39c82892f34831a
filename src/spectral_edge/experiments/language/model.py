"""The language model of the evidence: a plain pre-norm transformer over characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectral_edge.experiments.language.corpus import ALPHABET

__all__ = ["CharacterModel"]


class CharacterModel(nn.Module):
    """Logits (n, T, 128) of the next character; 1.03 million parameters in its published size.

    Args:
        d_model, layers, heads: size.
        length: longest sequence.
    """

    def __init__(self, d_model: int = 144, layers: int = 4, heads: int = 4, length: int = 96) -> None:
        super().__init__()
        self.token = nn.Embedding(ALPHABET, d_model)
        self.position = nn.Embedding(length, d_model)
        layer = nn.TransformerEncoderLayer(d_model, heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, ALPHABET)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, T) ids -> (n, T, 128)."""
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=ids.device)
        h = self.token(ids) + self.position(torch.arange(length, device=ids.device))
        return self.head(self.norm(self.blocks(h, mask=mask, is_causal=True)))
