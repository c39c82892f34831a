"""The exact derivative of the residual stream along many directions of the attention weights, in closed form."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["residual_tangents"]


def residual_tangents(
    layers: list[nn.TransformerEncoderLayer], table: Tensor, rows: Tensor, tangents: dict[str, Tensor]
) -> Tensor:
    """Differentiate the residual stream at position 0 along K directions at once.

    The same derivative as ``torch.func.jvp`` of the forward pass, with what that cannot know: gains, biases and MLP
    weights do not move, and values of the forward pass are shared by all directions. Tangents are laid out
    (position, B, K, width), so that fixed weights times moving activations and moving weights times fixed activations
    are single matrix products.

    Args:
        layers: pre-norm encoder layers over two keys, as in ``ModularTransformer``.
        table: (2p, d) inputs of the first layer, token at position 0, then at position 1.
        rows: (2, B) indices into the table, position first.
        tangents: ``encoder.layers.{i}.self_attn.in_proj_weight`` (K, 3d, d) and ``.out_proj.weight`` (K, d, d) of every
            layer.

    Returns:
        (B, K, d).
    """
    x, x_t = F.embedding(rows, table), None
    for i, layer in enumerate(layers):
        attention = layer.self_attn
        read = slice(0, 1) if layer is layers[-1] else slice(None)  # positions needed after this layer
        moving = tangents[f"encoder.layers.{i}.self_attn.in_proj_weight"].chunk(3, dim=1)
        fixed = attention.in_proj_weight.chunk(3)
        normed = layer.norm1(x)
        q, k, v = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        if x_t is None:  # nothing moves before the first attention: 2p rows of a table instead of 2B
            looked_up = (F.embedding(rows, _moved(layer.norm1(table), m).flatten(1)) for m in moving)
            q_t, k_t, v_t = (part.unflatten(-1, (-1, x.shape[-1])) for part in looked_up)
            q_t, dk_t = q_t[read], k_t[0] - k_t[1]
        else:
            u_t = _norm_tangent(layer.norm1, x, x_t)
            into_q, into_k, into_v = (_after_norm(layer.norm1, w) for w in fixed)
            q_t = _moved(normed[read], moving[0], u_t[read], into_q)
            dk_t = _moved(normed[0] - normed[1], moving[1], u_t[0] - u_t[1], into_k)
            v_t = _moved(normed, moving[2], u_t, into_v)
        out, out_t = _attend(q[read], k[0] - k[1], v, q_t, dk_t, v_t, attention.num_heads)
        moving_out = tangents[f"encoder.layers.{i}.self_attn.out_proj.weight"]
        attended_t = _moved(out, moving_out, out_t, attention.out_proj.weight)
        x = x[read] + attention.out_proj(out)
        x_t = attended_t if x_t is None else attended_t.add_(x_t[read])
        hidden = layer.linear1(layer.norm2(x))
        hidden_t = _norm_tangent(layer.norm2, x, x_t) @ _after_norm(layer.norm2, layer.linear1.weight).T
        hidden_t.mul_(_gelu_slope(hidden)[..., None, :])
        x = x + layer.linear2(F.gelu(hidden))
        x_t = _add_product(x_t, hidden_t, layer.linear2.weight)
    assert x_t is not None
    return x_t[0]


def _moved(x: Tensor, moving: Tensor, x_t: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
    """Derivative of W x: moving (K, out, d) times x (…, d), plus weight (out, d) times x_t (…, K, d); (…, K, out)."""
    y_t = (x @ moving.flatten(0, 1).T).unflatten(-1, moving.shape[:2])
    return y_t if x_t is None or weight is None else _add_product(y_t, x_t, weight)


def _add_product(y_t: Tensor, x_t: Tensor, weight: Tensor) -> Tensor:
    """y_t += x_t W^T in one pass of the matrix product."""
    y_t.flatten(0, -2).addmm_(x_t.flatten(0, -2), weight.T)
    return y_t


def _norm_tangent(norm: nn.LayerNorm, x: Tensor, x_t: Tensor) -> Tensor:
    """Derivative of (x - mean)/s but for its mean, [dx - xhat <xhat, dx>/d]/s; :func:`_after_norm` takes the mean."""
    centered = x - x.mean(-1, keepdim=True)
    inverse_std = torch.rsqrt(centered.square().mean(-1, keepdim=True) + norm.eps)
    xhat = centered * inverse_std
    overlap = (x_t @ xhat[..., None]) / x.shape[-1]
    return torch.addcmul(x_t, overlap, xhat[..., None, :], value=-1).mul_(inverse_std[..., None])


def _after_norm(norm: nn.LayerNorm, weight: Tensor) -> Tensor:
    """W diag(gain) (1 - 11^T/d): a projection that takes the norm's gain, and the mean out, with it."""
    gained = weight * norm.weight
    return gained - gained.mean(1, keepdim=True)


def _gelu_slope(x: Tensor) -> Tensor:
    """Derivative of the exact GELU x Phi(x): Phi(x) + x phi(x)."""
    return torch.special.ndtr(x) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _attend(
    q: Tensor, dk: Tensor, v: Tensor, q_t: Tensor, dk_t: Tensor, v_t: Tensor, n_heads: int
) -> tuple[Tensor, Tensor]:
    """Attention over two keys, v_1 + w (v_0 - v_1) with w = sigmoid(q · dk/sqrt(d_head)), and its derivative.

    Args:
        q: (Q, B, d) queries.
        dk: (B, d) difference of the keys k_0 - k_1.
        v: (2, B, d) values.
        q_t: (Q, B, K, d) derivative; ``dk_t`` (B, K, d) and ``v_t`` (2, B, K, d) likewise.
        dk_t: see ``q_t``.
        v_t: see ``q_t``.
        n_heads: heads.

    Returns:
        (Q, B, d) and its derivative (Q, B, K, d).
    """
    q, dk, v = (part.unflatten(-1, (n_heads, -1))[..., None, :, :] for part in (q, dk, v))
    q_t, dk_t, v_t = (part.unflatten(-1, (n_heads, -1)) for part in (q_t, dk_t, v_t))
    scale = q.shape[-1] ** -0.5
    w = torch.sigmoid((q * dk).sum(-1, keepdim=True) * scale)
    score_t = (q_t * dk).sum(-1, keepdim=True) + (q * dk_t).sum(-1, keepdim=True)
    w_t = w * (1 - w) * scale * score_t
    out = v[1] + w * (v[0] - v[1])
    out_t = torch.lerp(v_t[1], v_t[0], w.expand_as(w_t)).addcmul_(w_t, v[0] - v[1])
    return out.flatten(-2)[..., 0, :], out_t.flatten(-2)
