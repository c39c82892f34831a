"""Loss and gradient of S transformers of one shape at once, in closed form: one batched matrix product for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Layout", "clipped_gradient", "loss_and_gradient"]

Weights = dict[str, Tensor]
Backward = Callable[[Tensor], Tensor]
Layout = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of the parameters, in the order of the flat vector."""

_EPSILON = 1e-5  # of nn.LayerNorm


def clipped_gradient(
    layout: Layout, n_heads: int, max_norm: float, parameters: Tensor, rows: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of each model's loss, scaled to at most ``max_norm`` as ``torch.nn.utils.clip_grad_norm_`` does.

    Args:
        layout: how a row of ``parameters`` is cut.
        n_heads: heads per layer.
        max_norm: largest norm of a model's gradient.
        parameters: (S, n) one model a row.
        rows: as in :func:`loss_and_gradient`; ``labels`` likewise.
        labels: see ``rows``.

    Returns:
        The (S, n) gradient and the (S,) losses.
    """
    sizes = [torch.Size(shape).numel() for _, shape in layout]
    pieces = zip(layout, parameters.split(sizes, dim=1), strict=True)
    weights = {name: piece.reshape(-1, *shape) for (name, shape), piece in pieces}
    loss, gradient = loss_and_gradient(weights, rows, labels, n_heads)
    flat = torch.cat([gradient[name].flatten(1) for name, _ in layout], dim=1)
    # Row by row: over an axis the order of the sum, hence its last bit, would depend on the number of models.
    norm = torch.stack([torch.linalg.vector_norm(row) for row in flat])
    return flat.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0)[:, None]), loss


def loss_and_gradient(weights: Weights, rows: Tensor, labels: Tensor, n_heads: int) -> tuple[Tensor, Weights]:
    """Mean cross-entropy of S models, summed over their heads, and its derivative by every parameter.

    The function that ``ModularTransformer`` computes, with the same table for the first layer, sigmoid for a softmax
    over two keys and last layer at position 0 only. Beyond automatic differentiation of it: gains and biases of norms
    are folded into the weights that follow (a weight has 128 rows where a batch has 1024), sums over repeated tokens
    are made once for queries, keys and values, and nothing is set to zero or added up that is written once.

    Args:
        weights: parameters by the names of ``ModularTransformer``, each (S, *shape).
        rows: (S, 2, B) indices into the 2p rows of the first layer: token a at position 0, p + token b at position 1.
        labels: (S, T, B) classes for each of the T heads.
        n_heads: heads per layer.

    Returns:
        (S,) losses in nats, and gradients like ``weights``. The key bias cancels between the keys: its gradient is 0.
    """
    n_layers = sum(name.endswith("self_attn.in_proj_weight") for name in weights)
    gradient: Weights = {}
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
    gradient["tok_emb.weight"], gradient["pos_emb"] = by_token.sum(1), by_token.sum(2)
    return loss, gradient


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
        # Not a matrix product: with one column its last bits would depend on the number of models.
        return cls(w * gain[:, None], (b + (w * shift[:, None]).sum(-1))[:, None])

    def __call__(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight.mT)

    def part(self, columns: slice) -> _Folded:
        return _Folded(self.weight[:, columns], self.bias[..., columns])


def _unfold(
    weights: Weights, gradient: Weights, name: str, norm: str, d_weight: Tensor, d_bias: Tensor, suffix: str = "."
) -> None:
    """Gradients of a linear map and of the norm before it from those of the two folded into one."""
    w = weights[f"{name}{suffix}weight"]
    gain, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    gradient[f"{name}{suffix}weight"] = torch.addcmul(d_weight * gain[:, None], d_bias[..., None], shift[:, None])
    gradient[f"{name}{suffix}bias"] = d_bias
    d_gain, d_shift = (d_weight * w).sum(1), (d_bias[..., None] * w).sum(1)
    if f"{norm}.weight" in gradient:  # several heads read one norm
        d_gain, d_shift = gradient[f"{norm}.weight"] + d_gain, gradient[f"{norm}.bias"] + d_shift
    gradient[f"{norm}.weight"], gradient[f"{norm}.bias"] = d_gain, d_shift


def _mlp(weights: Weights, gradient: Weights, name: str, x: Tensor) -> tuple[Tensor, Backward]:
    """x + W_2 gelu(W_1 norm(x)) on (S, rows, d), and its reverse."""
    first, second, norm = f"{name}.linear1", f"{name}.linear2", f"{name}.norm2"
    normed, norm_backward = _normalise(x)
    linear1, w2 = _Folded.of(weights, first, norm), weights[f"{second}.weight"]
    hidden = linear1(normed)
    active = F.gelu(hidden)
    y = (x + weights[f"{second}.bias"][:, None]).baddbmm_(active, w2.mT)

    def backward(d: Tensor) -> Tensor:
        gradient[f"{second}.weight"], gradient[f"{second}.bias"] = torch.bmm(d.mT, active), d.sum(1)
        d_hidden = torch.ops.aten.gelu_backward(torch.bmm(d, w2), hidden)
        _unfold(weights, gradient, first, norm, torch.bmm(d_hidden.mT, normed), d_hidden.sum(1))
        return norm_backward(torch.bmm(d_hidden, linear1.weight)).add_(d)

    return y, backward


def _heads(weights: Weights, gradient: Weights, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Summed mean cross-entropies (S,) of the heads on (S, B, d), and their derivative by x."""
    normed, norm_backward = _normalise(x)
    loss, d_normed = x.new_zeros(len(x)), torch.zeros_like(normed)
    names = [name.removesuffix(".weight") for name in weights if name.startswith("head") and name.endswith(".weight")]
    for task, name in enumerate(names):
        head, label = _Folded.of(weights, name, "ln"), labels[:, task, :, None]
        log_p = F.log_softmax(head(normed), dim=-1)
        loss = loss - log_p.gather(-1, label).mean(1)[:, 0]
        d = log_p.exp().scatter_add(-1, label, -torch.ones_like(log_p[..., :1])).div_(x.shape[1])
        _unfold(weights, gradient, name, "ln", torch.bmm(d.mT, normed), d.sum(1))
        d_normed.baddbmm_(d, head.weight)
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
        dq, dk, dv = attend_backward(dy)
        if last:
            dq = F.pad(dq, (0, 0, 0, 0, 0, 1))  # the other position asks nothing
        d_table = sum_up(torch.cat([dq, torch.stack([dk, -dk], dim=1), dv], dim=-1).flatten(1, 2), index)
        d_bias = _without_keys(d_table.sum(1))
        _unfold(
            weights, gradient, f"{name}.self_attn", f"{name}.norm1", torch.bmm(d_table.mT, normed), d_bias, ".in_proj_"
        )
        return norm_backward(torch.bmm(d_table, project.weight)).add_(sum_up(dy, index[:, : read * batch]))

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
    to_q, to_k, to_v = (project.part(slice(i * d, (i + 1) * d)) for i in range(3))
    q, v = (to(z).unflatten(1, (-1, batch)) for to, z in ((to_q, normed[:, read]), (to_v, normed)))
    skip = x[:, read] + weights[f"{name}.self_attn.out_proj.bias"][:, None]
    y, attend_backward = _attend(weights, gradient, name, skip, q, torch.bmm(difference, to_k.weight.mT), v, n_heads)

    def backward(dy: Tensor) -> Tensor:
        dq, dk, dv = attend_backward(dy)
        dq, dv = dq.flatten(1, 2), dv.flatten(1, 2)
        moving = ((dq, normed[:, read]), (dk, difference), (dv, normed))
        d_weight = torch.cat([torch.bmm(d_out.mT, z) for d_out, z in moving], dim=1)
        d_bias = torch.cat([dq.sum(1), torch.zeros_like(dq[:, 0]), dv.sum(1)], dim=1)
        _unfold(weights, gradient, f"{name}.self_attn", f"{name}.norm1", d_weight, d_bias, ".in_proj_")
        d_normed = torch.bmm(dv, to_v.weight)
        d_normed[:, read].baddbmm_(dq, to_q.weight)
        through_key = torch.bmm(dk, to_k.weight)
        d_normed[:, :batch] += through_key
        d_normed[:, batch:] -= through_key
        d_x = norm_backward(d_normed)
        d_x[:, read] += dy
        return d_x

    return y, backward


def _attend(
    weights: Weights, gradient: Weights, name: str, x: Tensor, q: Tensor, dk: Tensor, v: Tensor, n_heads: int
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]]:
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
        (S, Q B, d), and the function of its derivative that gives those of q, dk and v.
    """
    w_out = weights[f"{name}.self_attn.out_proj.weight"]
    q_h, k_h, v_h = (z.unflatten(-1, (n_heads, -1)) for z in (q, dk[:, None], v))
    scale = q_h.shape[-1] ** -0.5
    w = torch.sigmoid((q_h * k_h).sum(-1, keepdim=True) * scale)
    dv = v_h[:, :1] - v_h[:, 1:]
    out = torch.addcmul(v_h[:, 1:], w, dv).flatten(-2).flatten(1, 2)
    y = x.baddbmm_(out, w_out.mT)

    def backward(d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient[f"{name}.self_attn.out_proj.weight"] = torch.bmm(d.mT, out)
        gradient[f"{name}.self_attn.out_proj.bias"] = d.sum(1)
        d_out = torch.bmm(d, w_out).view_as(q_h)
        d_score = (d_out * dv).sum(-1, keepdim=True) * (w * (1 - w) * scale)
        to_first = d_out * w
        d_v = torch.stack([to_first.sum(1), (d_out - to_first).sum(1)], dim=1).flatten(-2)
        return (d_score * k_h).flatten(-2), (d_score * q_h).sum(1).flatten(-2), d_v

    return y, backward


def _without_keys(d_bias: Tensor) -> Tensor:
    """The (S, 3d) gradient of the biases of queries, keys and values, rounding of the keys' taken away."""
    d = d_bias.shape[1] // 3
    return torch.cat([d_bias[:, :d], torch.zeros_like(d_bias[:, :d]), d_bias[:, 2 * d :]], dim=1)
