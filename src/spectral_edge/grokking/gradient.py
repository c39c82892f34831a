"""Loss and gradient of S transformers of one shape at once, in closed form: one batched matrix product for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spectral_edge.grokking.products import product

__all__ = ["clipped_gradient", "loss_and_gradient"]

Weights = dict[str, Tensor]
Backward = Callable[[Tensor], Tensor]
_EPSILON = 1e-5  # of nn.LayerNorm


def clipped_gradient(
    weights: Weights, gradient: Weights, flat: Tensor, n_heads: int, max_norm: float, rows: Tensor, labels: Tensor
) -> Tensor:
    """Gradient of each model's loss, scaled to at most ``max_norm`` as ``torch.nn.utils.clip_grad_norm_`` does.

    Args:
        weights: as in :func:`loss_and_gradient`; ``gradient``, ``rows`` and ``labels`` likewise.
        gradient: where it is written: views of ``flat``, all of it.
        flat: (S, n) one model a row.
        n_heads: heads per layer.
        max_norm: largest norm of a model's gradient.
        rows: see ``weights``.
        labels: see ``weights``.

    Returns:
        The (S,) losses.
    """
    loss = loss_and_gradient(weights, gradient, rows, labels, n_heads)
    # Row by row: over an axis the order of the sum, hence its last bit, would depend on the number of models.
    norm = torch.stack([torch.linalg.vector_norm(row) for row in flat])
    flat.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return loss


def loss_and_gradient(weights: Weights, gradient: Weights, rows: Tensor, labels: Tensor, n_heads: int) -> Tensor:
    """Mean cross-entropy of S models, summed over their heads, and its derivative by every parameter.

    The function that ``ModularTransformer`` computes, with the same table for the first layer, sigmoid for a softmax
    over two keys and last layer at position 0 only. Beyond automatic differentiation of it: gains and biases of norms
    are folded into the weights that follow (a weight has 128 rows where a batch has 1024), sums over repeated tokens
    are made once for queries, keys and values, and each derivative is written once, where it is to be.

    Args:
        weights: parameters by the names of ``ModularTransformer``, each (S, *shape).
        gradient: tensors of the same names and shapes, which are overwritten by the derivatives. The key bias cancels
            between the keys: its derivative is 0.
        rows: (S, 2, B) indices into the 2p rows of the first layer: token a at position 0, p + token b at position 1.
        labels: (S, T, B) classes for each of the T heads.
        n_heads: heads per layer.

    Returns:
        (S,) losses in nats.
    """
    n_layers = sum(name.endswith("self_attn.in_proj_weight") for name in weights)
    backward: list[Backward] = []
    x = _table(weights)
    for i in range(n_layers):
        last, name = i == n_layers - 1, f"encoder.layers.{i}"
        if i == 0:
            x, back = _first_attention(weights, gradient, name, x, rows, n_heads, last)
        else:
            x, back = _attention(weights, gradient, name, x, n_heads, last)
        backward.append(back)
        x, back = _mlp(weights, gradient, name, x)
        backward.append(back)
    loss, d = _heads(weights, gradient, x, labels)
    for back in reversed(backward):
        d = back(d)
    by_token = d.unflatten(1, (2, -1))
    torch.sum(by_token, 1, out=gradient["tok_emb.weight"])
    torch.sum(by_token, 2, out=gradient["pos_emb"])
    return loss


def _table(weights: Weights) -> Tensor:
    """(S, 2p, d) every token at position 0, then at position 1."""
    return (weights["tok_emb.weight"][:, None] + weights["pos_emb"][:, :, None]).flatten(1, 2)


def _normalise(x: Tensor) -> tuple[Tensor, Backward]:
    """(x - mean)/std over the last axis, without gain and bias, and its reverse."""
    shape = x.shape[-1:]
    normed, mean, inverse_std = torch.native_layer_norm(x, shape, None, None, _EPSILON)

    def backward(d: Tensor) -> Tensor:
        mask = [True, False, False]
        return torch.ops.aten.native_layer_norm_backward(d, x, shape, mean, inverse_std, None, None, mask)[0]

    return normed, backward


class _Folded(NamedTuple):
    """A linear map after a norm, W (g x + c) + b, as one map W' x + b' with W' = W diag(g), b' = b + W c."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: Weights, name: str, norm: str, suffix: str = ".") -> _Folded:
        w, b = weights[f"{name}{suffix}weight"], weights[f"{name}{suffix}bias"]
        gain, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        return cls(w * gain[:, None], product(shift[:, None], w.mT).add_(b[:, None]))

    def __call__(self, x: Tensor) -> Tensor:
        return product(x, self.weight.mT).add_(self.bias)

    def part(self, columns: slice) -> _Folded:
        return _Folded(self.weight[:, columns], self.bias[..., columns])


def _unfold(weights: Weights, gradient: Weights, name: str, norm: str, suffix: str = ".") -> None:
    """Turn the derivative by a folded map, which ``gradient`` holds, into those by the map and by its norm."""
    w, d_weight, d_bias = (
        weights[f"{name}{suffix}weight"],
        gradient[f"{name}{suffix}weight"],
        gradient[f"{name}{suffix}bias"],
    )
    gain, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    gradient[f"{norm}.weight"] += torch.sum(d_weight * w, 1)
    gradient[f"{norm}.bias"] += product(d_bias[:, None], w)[:, 0]
    d_weight.mul_(gain[:, None]).addcmul_(d_bias[..., None], shift[:, None])


def _mlp(weights: Weights, gradient: Weights, name: str, x: Tensor) -> tuple[Tensor, Backward]:
    """x + W_2 gelu(W_1 norm(x)) on (S, rows, d), and its reverse."""
    first, second, norm = f"{name}.linear1", f"{name}.linear2", f"{name}.norm2"
    normed, norm_backward = _normalise(x)
    linear1, w2 = _Folded.of(weights, first, norm), weights[f"{second}.weight"]
    hidden = linear1(normed)
    active = F.gelu(hidden)
    y = product(active, w2.mT).add_(weights[f"{second}.bias"][:, None]).add_(x)

    def backward(d: Tensor) -> Tensor:
        _linear(gradient, second, d, active)
        d_hidden = torch.ops.aten.gelu_backward(product(d, w2), hidden)
        _linear(gradient, first, d_hidden, normed)
        _start(gradient, norm)
        _unfold(weights, gradient, first, norm)
        return norm_backward(product(d_hidden, linear1.weight)).add_(d)

    return y, backward


def _linear(gradient: Weights, name: str, d: Tensor, x: Tensor) -> None:
    """Write the derivative by a linear map's weight and bias from those by its output d and its input x."""
    product(d.mT, x, out=gradient[f"{name}.weight"])
    torch.sum(d, 1, out=gradient[f"{name}.bias"])


def _start(gradient: Weights, norm: str) -> None:
    """Several maps read one norm: what they add to its derivative starts at 0."""
    gradient[f"{norm}.weight"].zero_()
    gradient[f"{norm}.bias"].zero_()


def _heads(weights: Weights, gradient: Weights, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Summed mean cross-entropies (S,) of the heads on (S, B, d), and their derivative by x."""
    normed, norm_backward = _normalise(x)
    loss, d_normed = x.new_zeros(len(x)), torch.zeros_like(normed)
    names = [name.removesuffix(".weight") for name in weights if name.startswith("head") and name.endswith(".weight")]
    _start(gradient, "ln")
    for task, name in enumerate(names):
        head, label = _Folded.of(weights, name, "ln"), labels[:, task, :, None]
        log_p = F.log_softmax(head(normed), dim=-1)
        loss = loss - log_p.gather(-1, label).mean(1)[:, 0]
        d_log_p = torch.zeros_like(log_p).scatter_(-1, label, -1 / x.shape[1])
        # Not torch.exp: where MKL computes it, it depends on who made the processor, as its products do.
        d = torch.ops.aten._log_softmax_backward_data(d_log_p, log_p, -1, log_p.dtype)
        _linear(gradient, name, d, normed)
        _unfold(weights, gradient, name, "ln")
        d_normed += product(d, head.weight)
    return loss, norm_backward(d_normed)


def _first_attention(
    weights: Weights, gradient: Weights, name: str, table: Tensor, rows: Tensor, n_heads: int, last: bool
) -> tuple[Tensor, Backward]:
    """Attention of the first layer, from its table (S, 2p, d) to (S, read positions x B, d), and its reverse."""
    models, n, d = table.shape
    batch, read = rows.shape[-1], 1 if last else 2
    index = (rows + n * torch.arange(models, device=rows.device)[:, None, None]).flatten(1)
    normed, norm_backward = _normalise(table)
    project = _Folded.of(weights, f"{name}.self_attn", f"{name}.norm1", ".in_proj_")

    def look_up(values: Tensor, which: Tensor) -> Tensor:
        return values.flatten(0, 1).index_select(0, which.flatten()).view(models, which.shape[1], -1)

    def sum_up(values: Tensor, which: Tensor) -> Tensor:
        total = values.new_zeros(models * n, values.shape[-1])
        return total.index_add_(0, which.flatten(), values.flatten(0, 1)).view(models, n, -1)

    qkv = look_up(project(normed), index).view(models, 2, batch, 3 * d)
    q, k, v = qkv.split(d, dim=-1)
    x = look_up(table + weights[f"{name}.self_attn.out_proj.bias"][:, None], index[:, : read * batch])
    y, attend_backward = _attend(weights, gradient, name, x, q[:, :read], k[:, 0] - k[:, 1], v, n_heads)

    def backward(dy: Tensor) -> Tensor:
        d_qkv = torch.empty_like(qkv)
        dq, dk, dv = d_qkv.split(d, dim=-1)
        attend_backward(dy, dq[:, :read], dk[:, 0], dv)
        torch.neg(dk[:, 0], out=dk[:, 1])
        if last:
            dq[:, 1] = 0  # the other position asks nothing
        d_table = sum_up(d_qkv.flatten(1, 2), index)
        attention = f"{name}.self_attn.in_proj_"
        product(d_table.mT, normed, out=gradient[f"{attention}weight"])
        torch.sum(d_table, 1, out=gradient[f"{attention}bias"])
        gradient[f"{attention}bias"][:, d : 2 * d] = 0  # what is there is rounding
        _start(gradient, f"{name}.norm1")
        _unfold(weights, gradient, f"{name}.self_attn", f"{name}.norm1", ".in_proj_")
        return norm_backward(product(d_table, project.weight)).add_(sum_up(dy, index[:, : read * batch]))

    return y, backward


def _attention(
    weights: Weights, gradient: Weights, name: str, x: Tensor, n_heads: int, last: bool
) -> tuple[Tensor, Backward]:
    """Attention of a later layer, from (S, 2B, d) to (S, read positions x B, d), and its reverse."""
    batch, d = x.shape[1] // 2, x.shape[2]
    read = slice(0, batch if last else 2 * batch)
    normed, norm_backward = _normalise(x)
    difference = normed[:, :batch] - normed[:, batch:]
    project = _Folded.of(weights, f"{name}.self_attn", f"{name}.norm1", ".in_proj_")
    thirds = [slice(i * d, (i + 1) * d) for i in range(3)]
    to_q, to_k, to_v = map(project.part, thirds)
    q, v = (to(z).unflatten(1, (-1, batch)) for to, z in ((to_q, normed[:, read]), (to_v, normed)))
    skip = x[:, read] + weights[f"{name}.self_attn.out_proj.bias"][:, None]
    y, attend_backward = _attend(weights, gradient, name, skip, q, product(difference, to_k.weight.mT), v, n_heads)

    def backward(dy: Tensor) -> Tensor:
        dq, dk, dv = torch.empty_like(q), torch.empty_like(normed[:, :batch]), torch.empty_like(v)
        attend_backward(dy, dq, dk, dv)
        dq, dv = dq.flatten(1, 2), dv.flatten(1, 2)
        d_weight, d_bias = gradient[f"{name}.self_attn.in_proj_weight"], gradient[f"{name}.self_attn.in_proj_bias"]
        for place, d_out, z in zip(thirds, (dq, dk, dv), (normed[:, read], difference, normed), strict=True):
            product(d_out.mT, z, out=d_weight[:, place])
            torch.sum(d_out, 1, out=d_bias[:, place])
        d_bias[:, thirds[1]] = 0
        _start(gradient, f"{name}.norm1")
        _unfold(weights, gradient, f"{name}.self_attn", f"{name}.norm1", ".in_proj_")
        d_normed = product(dv, to_v.weight)
        d_normed[:, read] += product(dq, to_q.weight)
        through_key = product(dk, to_k.weight)
        d_normed[:, :batch] += through_key
        d_normed[:, batch:] -= through_key
        d_x = norm_backward(d_normed)
        d_x[:, read] += dy
        return d_x

    return y, backward


def _attend(
    weights: Weights, gradient: Weights, name: str, x: Tensor, q: Tensor, dk: Tensor, v: Tensor, n_heads: int
) -> tuple[Tensor, Callable[[Tensor, Tensor, Tensor, Tensor], None]]:
    """x + W_o (v_1 + w (v_0 - v_1)), w = sigmoid(q · (k_0 - k_1)/sqrt(d_head)), written into x; and its reverse.

    Args:
        weights: see :func:`loss_and_gradient`; ``gradient`` likewise, ``name`` of the layer.
        gradient: see ``weights``.
        name: see ``weights``.
        x: (S, Q B, d) the residual stream with the output bias.
        q: (S, Q, B, d) queries at Q positions.
        dk: (S, B, d) difference of the keys.
        v: (S, 2, B, d) values.
        n_heads: heads.

    Returns:
        (S, Q B, d), and the function that is given its derivative and writes those by q, dk and v where it is told.
    """
    w_out = weights[f"{name}.self_attn.out_proj.weight"]

    def by_head(z: Tensor) -> Tensor:
        return z.unflatten(-1, (n_heads, -1))

    q_h, k_h, v_h = by_head(q), by_head(dk[:, None]), by_head(v)
    scale = q_h.shape[-1] ** -0.5
    w = torch.sigmoid((q_h * k_h).sum(-1, keepdim=True) * scale)
    dv = v_h[:, :1] - v_h[:, 1:]
    out = torch.addcmul(v_h[:, 1:], w, dv).flatten(-2).flatten(1, 2)
    y = x.add_(product(out, w_out.mT))

    def backward(d: Tensor, to_q: Tensor, to_k: Tensor, to_v: Tensor) -> None:
        _linear(gradient, f"{name}.self_attn.out_proj", d, out)
        d_out = product(d, w_out).view_as(q_h)
        d_score = (d_out * dv).sum(-1, keepdim=True) * (w * (1 - w) * scale)
        torch.mul(d_score, k_h, out=by_head(to_q))
        torch.sum(d_score * q_h, 1, out=by_head(to_k))
        first, second = by_head(to_v).unbind(1)
        torch.sum(torch.mul(d_out, w), 1, out=first)
        torch.sub(d_out.sum(1), first, out=second)

    return y, backward
