"""The paper's two-token transformer, computed without the work that never reaches the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectral_edge.grokking.tangent import residual_tangents

__all__ = ["ModularTransformer"]


class ModularTransformer(nn.Module):
    """A pre-norm Transformer encoder over the two tokens (a, b), read at position 0 (paper, section 2).

    Parameters, their names and the order of the random draws are those of ``nn.Embedding``, a (2, d) position
    table, ``nn.TransformerEncoder`` (both layers start equal: it copies one), ``nn.LayerNorm`` and ``nn.Linear``.
    The encoder holds the weights; the arithmetic below replaces its forward pass, equal to float32 rounding:

    * the first layer sees only 2p different rows (token a at position 0, token b at position 1), so its
      normalisation and projections are made once for a table and looked up;
    * a softmax over two keys is a sigmoid of the difference of their scores, so attention is
      v_1 + sigmoid(q · (k_0 - k_1) / sqrt(d_head)) (v_0 - v_1);
    * the last layer is computed at position 0 only, the one that is read.

    The key bias cancels in k_0 - k_1: it has no effect on the function and, up to rounding, no gradient.

    Args:
        p: number of tokens and classes.
        tasks: one name -> head called ``head``; several -> ``head_<task>`` each.
        d_model: width, divisible by ``n_heads``.
        n_heads: heads per layer.
        n_layers: encoder layers, at least 1.
        d_mlp: hidden width of the MLP.

    >>> model = ModularTransformer(p=97)
    >>> sum(w.numel() for w in model.parameters())
    290401
    >>> logits, residual = model(torch.tensor([1, 2]), torch.tensor([3, 4]), return_residual=True)
    >>> logits.shape, residual.shape
    (torch.Size([2, 97]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        p: int = 97,
        tasks: Sequence[str] = ("add",),
        d_model: int = 128,
        n_heads: int = 4,
        n_layers: int = 2,
        d_mlp: int = 256,
    ) -> None:
        super().__init__()
        if isinstance(tasks, str):
            raise ValueError(f"ModularTransformer: tasks = {tasks!r} is one string; pass names, as in ({tasks!r},)")
        for name, size in (("p", p), ("d_model", d_model), ("n_heads", n_heads), ("d_mlp", d_mlp)):
            if size < 1:
                raise ValueError(f"ModularTransformer: {name} = {size}, at least 1 is needed")
        if d_model % n_heads:
            raise ValueError(f"ModularTransformer: d_model = {d_model} is not divisible by n_heads = {n_heads}")
        if n_layers < 1:
            raise ValueError(f"ModularTransformer: n_layers = {n_layers}, at least 1 is needed")
        if not tasks or len(set(tasks)) != len(tasks):
            raise ValueError(f"ModularTransformer: tasks = {tuple(tasks)} must be distinct and not empty")
        self.p, self.d_model, self.n_heads, self.tasks = p, d_model, n_heads, tuple(tasks)
        self.tok_emb = nn.Embedding(p, d_model)
        self.pos_emb = nn.Parameter(torch.randn(2, d_model) / math.sqrt(d_model))
        layer = nn.TransformerEncoderLayer(
            d_model, n_heads, d_mlp, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.ln = nn.LayerNorm(d_model)
        for name in self._head_names.values():
            setattr(self, name, nn.Linear(d_model, p))

    @property
    def _head_names(self) -> dict[str, str]:
        single = len(self.tasks) == 1
        return {task: "head" if single else f"head_{task}" for task in self.tasks}

    def forward(
        self, a: Tensor, b: Tensor, return_residual: bool = False
    ) -> Tensor | dict[str, Tensor] | tuple[Tensor | dict[str, Tensor], Tensor]:
        """Logits for pairs of tokens.

        Args:
            a: (B,) int64 in 0..p-1, the token at position 0.
            b: (B,) int64, the token at position 1.
            return_residual: also return the stream at position 0 after the last block, before the final norm.

        Returns:
            (B, p), or {task: (B, p)} if there are several tasks; with ``return_residual`` a pair of that and (B, d).
        """
        residual = self._residual(a, b)
        normed = self.ln(residual)
        outputs = {task: self.head_of(task)(normed) for task in self.tasks}
        logits = outputs[self.tasks[0]] if len(self.tasks) == 1 else outputs
        return (logits, residual) if return_residual else logits

    @torch.no_grad()
    def residual(self, pairs: Tensor) -> Tensor:
        """The stream at position 0 after the last block, before the final norm, (B, d), without a graph.

        Gradients are those of :meth:`forward` with ``return_residual``, which gives the same numbers.

        Args:
            pairs: (B, 2) tokens.
        """
        return self._residual(pairs[:, 0], pairs[:, 1])

    def head_of(self, task: str) -> nn.Linear:
        """The layer that reads a task's logits from the normed residual stream."""
        head: nn.Linear = getattr(self, self._head_names[task])
        return head

    @property
    def _layers(self) -> list[nn.TransformerEncoderLayer]:
        return [layer for layer in self.encoder.layers if isinstance(layer, nn.TransformerEncoderLayer)]

    @property
    def _table(self) -> Tensor:
        """(2p, d) inputs of the first layer: every token at position 0, then at position 1."""
        return torch.cat([self.tok_emb.weight + self.pos_emb[0], self.tok_emb.weight + self.pos_emb[1]])

    def residual_jvp(self, pairs: Tensor, tangents: dict[str, Tensor]) -> Tensor:
        """Derivative of the residual stream along K directions of the attention weights, (K, B, d).

        Equal to ``torch.func.jvp`` of :meth:`forward` to rounding, at about two fifths of its cost.

        Args:
            pairs: (B, 2) tokens.
            tangents: moving weights by parameter name, ``(K, *shape)``, exactly those of ``attention_weights``.
        """
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"ModularTransformer: pairs of tokens must be (N, 2), not {tuple(pairs.shape)}")
        if len(pairs) and not 0 <= int(pairs.min()) <= int(pairs.max()) < self.p:
            raise IndexError(f"ModularTransformer: tokens must be in 0..{self.p - 1}, got {pairs.min()}..{pairs.max()}")
        rows = torch.stack([pairs[:, 0], pairs[:, 1] + self.p])
        with torch.autocast(pairs.device.type, enabled=False):
            return residual_tangents(self._layers, self._table, rows, tangents).transpose(0, 1)

    def _residual(self, a: Tensor, b: Tensor) -> Tensor:
        layers = self._layers
        table = self._table
        qkv_table = _project(layers[0], layers[0].norm1(table), "qkv")
        x = self._look_up(table, a, b)
        query, keys, value = self._look_up(qkv_table, a, b).split(self.d_model, dim=-1)
        key_difference = keys[0] - keys[1]
        for i, layer in enumerate(layers):
            read = slice(0, 1) if layer is layers[-1] else slice(None)  # positions needed after this layer
            if i > 0:
                normed = layer.norm1(x)
                query = _project(layer, normed[read], "q")
                key_difference = _project(layer, normed[0] - normed[1], "k")
                value = _project(layer, normed, "v")
            x = x[read] + layer.self_attn.out_proj(self._attend(query[read], key_difference, value))
            x = x + layer.linear2(F.gelu(layer.linear1(layer.norm2(x))))
        return x[0]

    def _look_up(self, table: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Rows of a (2p, width) table for tokens a at position 0 and b at position 1, (2, B, width)."""
        # Each half apart: a token that is out of range is then an IndexError and not a row of the other half.
        return torch.stack([F.embedding(a, table[: self.p]), F.embedding(b, table[self.p :])])

    def _attend(self, query: Tensor, key_difference: Tensor, value: Tensor) -> Tensor:
        """Attention over two keys: query (Q, B, d), k_0 - k_1 (B, d), value (2, B, d) -> (Q, B, d)."""
        heads = (self.n_heads, self.d_model // self.n_heads)
        score = (query * key_difference).unflatten(-1, heads).sum(-1, keepdim=True) / math.sqrt(heads[1])
        first, second = value.unflatten(-1, heads)
        return (second + torch.sigmoid(score) * (first - second)).flatten(-2)


def _project(layer: nn.TransformerEncoderLayer, x: Tensor, which: str) -> Tensor:
    """Apply the named thirds of ``in_proj``; the key bias is left out of "k" as it is used on differences only."""
    d = x.shape[-1]
    weight, bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
    if which == "qkv":
        return F.linear(x, weight, bias)
    start = "qkv".index(which) * d
    return F.linear(x, weight[start : start + d], None if which == "k" else bias[start : start + d])
