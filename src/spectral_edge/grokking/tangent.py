"""The exact derivative of the residual stream along many directions of the attention weights, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["residual_tangents"]

# Times K directions: what moves of so many inputs stays inside a core's share of the cache.
_INPUTS_AT_ONCE = 128


@torch.no_grad()
def residual_tangents(
    layers: list[nn.TransformerEncoderLayer], table: Tensor, rows: Tensor, tangents: dict[str, Tensor]
) -> Tensor:
    """Differentiate the residual stream at position 0 along K directions at once.

    The same derivative as ``torch.func.jvp`` of the forward pass, with what that cannot know:

    * gains, biases and MLP weights do not move, and all directions share the values of the forward pass;
    * what the first attention adds to the stream is a sum over heads of rows of a table, one a token and position;
    * where a moving vector is only read through inner products, as by queries, keys and the statistics of a norm, a few
      vectors an input, the same for all directions, take the place of matrix products.

    Args:
        layers: pre-norm encoder layers over two keys, as in ``ModularTransformer``.
        table: (2p, d) inputs of the first layer, token at position 0, then at position 1.
        rows: (2, B) indices into the table, position first.
        tangents: ``encoder.layers.{i}.self_attn.in_proj_weight`` (K, 3d, d) and ``.out_proj.weight`` (K, d, d) of every
            layer.

    Returns:
        (B, K, d), directions outermost in memory.

    Cost: with two layers of width d and d_mlp = 2d, 20 d² multiply-adds an input and direction; memory 4 p² K floats a
    head, and the activations of 128 inputs.
    """
    moves = [_Moves.of(layer, tangents, f"encoder.layers.{i}.self_attn") for i, layer in enumerate(layers)]
    first = _FirstAttention(layers[0], table, moves[0], n_read=1 if len(layers) == 1 else 2)
    out = table.new_empty(len(moves[0].out), rows.shape[1], table.shape[1])
    # Memory that is used again costs nothing; new memory of a megabyte is slower than what is computed in it.
    room = table.new_empty(2 * _INPUTS_AT_ONCE * len(moves[0].out), layers[0].linear1.out_features)
    for start in range(0, rows.shape[1], _INPUTS_AT_ONCE):
        part = slice(start, start + _INPUTS_AT_ONCE)
        x, x_t = _through_mlp(layers[0], *first(rows[:, part].T), room)
        for layer, moving in zip(layers[1:], moves[1:], strict=True):
            x, x_t = _through_attention(layer, x, x_t, moving, n_read=1 if layer is layers[-1] else 2)
            x, x_t = _through_mlp(layer, x, x_t, room)
        out[:, part] = x_t[:, 0].transpose(0, 1)
    return out.transpose(0, 1)


@dataclass(frozen=True)
class _Moves:
    """K moving weights of one attention with H heads: ``q``, ``k``, ``v`` (K, H, d/H, d), ``out`` (K, d, d)."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor

    @classmethod
    def of(cls, layer: nn.TransformerEncoderLayer, tangents: dict[str, Tensor], name: str) -> _Moves:
        q, k, v = tangents[f"{name}.in_proj_weight"].unflatten(1, (3, layer.self_attn.num_heads, -1)).unbind(1)
        return cls(q.contiguous(), k.contiguous(), v.contiguous(), tangents[f"{name}.out_proj.weight"].contiguous())


class _FirstAttention:
    """The first attention, whose inputs are the rows of a table: every product with a matrix is made once for it.

    With w_h the attention of head h on position 0, it adds to the stream the sum over heads of w_h U_h[token 0] +
    (1 - w_h) U_h[token 1], U_h[x] = W_O,h v_h(x); its derivative is the same sum over dU, and dw_h (U_h[token 0] -
    U_h[token 1]).
    """

    def __init__(self, layer: nn.TransformerEncoderLayer, table: Tensor, moves: _Moves, n_read: int) -> None:
        attention = layer.self_attn
        self._table, self._bias, self._n_read = table, attention.out_proj.bias, n_read
        self._heads, self._n_directions = attention.num_heads, len(moves.out)
        normed = layer.norm1(table)
        qkv = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias).unflatten(1, (3, self._heads, -1))
        q, k, v = qkv.permute(1, 2, 0, 3)  # (H, 2p, d/H) each
        q_t, k_t, v_t = (torch.einsum("xd,khed->khxe", normed, moving) for moving in (moves.q, moves.k, moves.v))
        # Scores of every token as a query with every token as a key: (4p², H), (4p², KH).
        scale = q.shape[-1] ** -0.5
        self._scores = (q @ k.mT * scale).flatten(1).T.contiguous()
        self._scores_t = ((q_t @ k.mT + q @ k_t.mT) * scale).flatten(2).flatten(0, 1).T.contiguous()
        out, out_t = (w.unflatten(-1, (self._heads, -1)) for w in (attention.out_proj.weight, moves.out))
        self._values = torch.einsum("hxe,dhe->xhd", v, out).flatten(1)
        moved = torch.einsum("hxe,kdhe->xhkd", v, out_t) + torch.einsum("khxe,dhe->xhkd", v_t, out)
        self._values_t = moved.flatten(1)
        self._looked_up_t = table.new_empty(2 * _INPUTS_AT_ONCE, self._values_t.shape[1])

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The stream (B, Q, d) after the attention, and its derivatives (B, Q, K, d), of the inputs rows (B, 2)."""
        heads, directions = self._heads, self._n_directions
        queries = rows[:, : self._n_read]
        pairs = queries[:, :, None] * len(self._table) + rows[:, None]  # (B, Q, 2): each query with both keys
        score, score_t = (
            table[:, :, 0] - table[:, :, 1]
            for table in (F.embedding(pairs, self._scores), F.embedding(pairs, self._scores_t))
        )
        w = torch.sigmoid(score)  # (B, Q, H)
        w_t = (w * (1 - w))[:, :, None] * score_t.unflatten(2, (directions, heads))
        weights = torch.cat([w, 1 - w], dim=2)
        values = F.embedding(rows, self._values).unflatten(2, (heads, -1))  # (B, 2, H, d)
        values_t = torch.index_select(self._values_t, 0, rows.flatten(), out=self._looked_up_t[: rows.numel()])
        values_t = values_t.view(len(rows), 2 * heads, -1)  # (B, 2H, Kd)
        x = F.embedding(queries, self._table) + weights @ values.flatten(1, 2) + self._bias
        x_t = (weights @ values_t).view(len(rows), self._n_read * directions, -1)
        x_t.baddbmm_(w_t.flatten(1, 2), values[:, 0] - values[:, 1])
        return x, x_t.unflatten(1, (self._n_read, directions))


def _through_attention(
    layer: nn.TransformerEncoderLayer, x: Tensor, x_t: Tensor, moves: _Moves, n_read: int
) -> tuple[Tensor, Tensor]:
    """A later attention: the stream (B, 2, d) and its derivatives (B, 2, K, d) to (B, Q, d) and (B, Q, K, d)."""
    attention, directions, d = layer.self_attn, x_t.shape[2], x.shape[2]
    split = (attention.num_heads, d // attention.num_heads)
    scale = split[1] ** -0.5
    normed, (xhat, inverse_std) = layer.norm1(x), _standardised(layer.norm1, x)
    q, k, v = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias).unflatten(2, (3, *split)).unbind(2)
    q, dk = q[:, :n_read], k[:, 0] - k[:, 1]
    w = torch.sigmoid((q * dk[:, None]).sum(-1) * scale)  # (B, Q, H)
    into_q, into_k, into_v = (_after_norm(layer.norm1, part) for part in attention.in_proj_weight.chunk(3))

    # Vectors that read the moving stream: for the score one a query, head and position; for the norm's scale xhat.
    by_query = torch.einsum("bhe,hed->bhd", dk, into_q.unflatten(0, split))
    by_key = torch.einsum("bqhe,hed->bqhd", q, into_k.unflatten(0, split))
    readers = torch.stack([by_key, -by_key], dim=1)  # (B, 2, Q, H, d)
    for position in range(n_read):
        readers[:, position, position] += by_query
    readers = readers.flatten(2, 3)
    readers = (readers - (readers @ xhat[..., None] / d) * xhat[:, :, None]) * inverse_std[..., None]
    read = x_t @ torch.cat([readers, xhat[:, :, None] / d], dim=2).mT  # (B, 2, K, QH + 1)
    score_t = read[..., :-1].sum(1).unflatten(2, (n_read, split[0])).transpose(1, 2)  # (B, Q, K, H)
    q_t = _moved(normed[:, :n_read].flatten(0, 1), moves.q.flatten(1, 2)).view(len(x), n_read, directions, *split)
    dk_t = _moved(normed[:, 0] - normed[:, 1], moves.k.flatten(1, 2)).view(len(x), 1, directions, *split)
    score_t = score_t + (q_t.mul_(dk[:, None, None]).addcmul_(dk_t, q[:, :, None])).sum(-1)
    w_t = (w * (1 - w) * scale)[:, :, None] * score_t

    both = torch.stack([w, 1 - w], dim=2)  # (B, Q, 2, H)
    out = (both[..., None] * v[:, None]).sum(2)  # (B, Q, H, d/H)
    value_t = (x_t.flatten(0, 2) @ into_v.T).view(len(x), 2, directions, *split)
    scaled = both * inverse_std[:, None]  # (B, Q, 2, H)
    out_t = value_t[:, None, 0] * scaled[:, :, 0, None, :, None]
    out_t += value_t[:, None, 1] * scaled[:, :, 1, None, :, None]
    mixed = normed[:, None, 1, None] + w[..., None] * (normed[:, 0] - normed[:, 1])[:, None, None]  # (B, Q, H, d)
    moved = mixed.flatten(0, 1).transpose(0, 1) @ moves.v.transpose(0, 1).flatten(1, 2).mT  # (H, BQ, K d/H)
    out_t += moved.unflatten(2, (directions, -1)).permute(1, 2, 0, 3).unflatten(0, (-1, n_read))
    # Vectors that all directions share, times a number: v_0 - v_1 of each head, and W_V xhat of each position.
    shared = x.new_zeros(len(x), n_read, split[0] + 2, *split)
    shared[:, :, : split[0]].diagonal(dim1=2, dim2=3).copy_((v[:, 0] - v[:, 1]).mT[:, None])
    shared[:, :, split[0] :] = -scaled[..., None] * F.linear(xhat, into_v).unflatten(2, split)[:, None]
    times = torch.cat([w_t, read[..., -1].mT[:, None].expand(-1, n_read, -1, -1)], dim=3)
    out_t = out_t.view(len(x) * n_read, directions, d).baddbmm_(times.flatten(0, 1), shared.flatten(3).flatten(0, 1))

    out = out.flatten(2)
    attended_t = _moved(out.flatten(0, 1), moves.out).view(len(x), n_read, directions, d)
    attended_t += x_t[:, :n_read]
    _add_product(attended_t, out_t, attention.out_proj.weight)
    return x[:, :n_read] + attention.out_proj(out), attended_t


def _through_mlp(layer: nn.TransformerEncoderLayer, x: Tensor, x_t: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """The stream (B, Q, d) and its derivatives (B, Q, K, d) after the MLP; ``x_t`` and ``room`` are overwritten."""
    xhat, inverse_std = _standardised(layer.norm2, x)
    weight = _after_norm(layer.norm2, layer.linear1.weight)
    overlap = x_t @ xhat[..., None]
    hidden_t = torch.mm(x_t.flatten(0, 2), weight.T, out=room[: x_t[..., 0].numel()]).unflatten(0, (-1, x_t.shape[2]))
    hidden_t.baddbmm_(overlap.flatten(0, 1), F.linear(xhat, weight).flatten(0, 1)[:, None], alpha=-1 / x.shape[2])
    hidden = layer.linear1(layer.norm2(x))
    hidden_t *= (_gelu_slope(hidden) * inverse_std).flatten(0, 1)[:, None]
    return x + layer.linear2(F.gelu(hidden)), _add_product(x_t, hidden_t, layer.linear2.weight)


def _moved(x: Tensor, moving: Tensor) -> Tensor:
    """Moving weights (K, out, d) times fixed x (n, d): (n, K out)."""
    return x @ moving.flatten(0, 1).T


def _add_product(y_t: Tensor, x_t: Tensor, weight: Tensor) -> Tensor:
    """y_t += x_t W^T in one pass of the matrix product."""
    y_t.flatten(0, -2).addmm_(x_t.flatten(0, -2), weight.T)
    return y_t


def _standardised(norm: nn.LayerNorm, x: Tensor) -> tuple[Tensor, Tensor]:
    """xhat = (x - mean)/s, and 1/s (…, 1).

    The derivative of xhat is [dx - xhat <xhat, dx>/d]/s but for its mean, which :func:`_after_norm` takes out.
    """
    centered = x - x.mean(-1, keepdim=True)
    inverse_std = torch.rsqrt(centered.square().mean(-1, keepdim=True) + norm.eps)
    return centered * inverse_std, inverse_std


def _after_norm(norm: nn.LayerNorm, weight: Tensor) -> Tensor:
    """W diag(gain) (1 - 11^T/d): a projection that takes the norm's gain, and the mean out, with it."""
    gained = weight * norm.weight
    return gained - gained.mean(1, keepdim=True)


def _gelu_slope(x: Tensor) -> Tensor:
    """Derivative of the exact GELU x Phi(x): Phi(x) + x phi(x)."""
    return torch.special.ndtr(x) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
