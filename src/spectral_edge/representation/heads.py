"""How much of a direction lies in one attention head."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset

__all__ = ["head_purity"]


def head_purity(direction: Tensor, parameters: ParameterSubset) -> float | Tensor:
    """Largest share of ||v||^2 that lies in one (layer, head): max_{l,h} ||v_{l,h}||^2 / ||v||^2.

    Head h of a layer owns its rows of W_Q, W_K, W_V and its columns of W_O. With L layers of H heads the shares add
    up to 1 and a direction spread evenly has 1/(L H): 0.125 for the paper's model. Source: paper, C3; its text
    takes the maximum over 32 blocks, its number over these 8.

    Args:
        direction: (D,), or (k, D) for several at once.
        parameters: from :func:`~spectral_edge.parameters.attention_weights`.

    Returns:
        A float for one direction, a float64 tensor (k,) for several.

    Raises:
        ValueError: the subset does not know its heads, or a direction is zero.
    """
    if parameters.n_heads is None:
        raise ValueError(
            f"head_purity: how {parameters.names[0]} and the others are cut into heads is not known. It is for "
            "attention_weights(model) of layers of nn.MultiheadAttention; projections of GPT-2, Llama and their like "
            "do not say it, and are not supported. Shares by layer are in a recording's log (layer_shares)"
        )
    directions = torch.atleast_2d(torch.as_tensor(direction)).double()
    if (directions == 0).all(dim=1).any():
        raise ValueError("head_purity: the direction is zero")
    pieces = list(parameters.unflatten(directions).values())
    shares = []
    for in_projection, out_projection in zip(pieces[::2], pieces[1::2], strict=True):
        k, _, d = in_projection.shape
        heads = (k, parameters.n_heads, d // parameters.n_heads)
        rows = in_projection.reshape(k, 3, heads[1], heads[2], d).square().sum(dim=(1, 3, 4))
        columns = out_projection.reshape(k, d, heads[1], heads[2]).square().sum(dim=(1, 3))
        shares.append(rows + columns)
    share = torch.cat(shares, dim=1)
    purity = share.amax(1) / share.sum(1)
    return float(purity) if torch.as_tensor(direction).ndim == 1 else purity
