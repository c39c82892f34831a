"""Singular values of the weight matrices themselves, and what random matrices of their shape have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["attention_matrices", "random_gap_ratios", "weight_singular_values"]

Floats = NDArray[np.float64]

_PROJECTION = re.compile(r"(?:^|\.)(\d+)\.self_attn\.(in_proj_weight|out_proj\.weight)$")


def attention_matrices(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name W_Q, W_K, W_V, W_O of every layer in a snapshot of a ``nn.TransformerEncoder``.

    ``in_proj_weight`` (3d, d) stacks W_Q, W_K, W_V; views, not copies.

    Args:
        tensors: name -> tensor, e.g. a state dict; other names are ignored.

    Returns:
        ``{"layer0.W_Q": (d, d), "layer0.W_K": …, "layer0.W_O": …, "layer1.W_Q": …}``, by layer.

    Raises:
        ValueError: no such parameter is there, an ``in_proj_weight`` is not three square matrices, or two stacks
            (encoder and decoder) have a layer of one number.

    >>> sorted(attention_matrices({"encoder.layers.0.self_attn.in_proj_weight": torch.zeros(6, 2)}))
    ['layer0.W_K', 'layer0.W_Q', 'layer0.W_V']
    """
    found: dict[tuple[int, str], Tensor] = {}
    for name, tensor in tensors.items():
        match = _PROJECTION.search(name)
        if match is None:
            continue
        layer = int(match[1])
        if (layer, "W_O" if match[2] == "out_proj.weight" else "W_Q") in found:
            raise ValueError(
                f"attention_matrices: {name} is a second layer {layer}; pass the tensors of one stack of layers only"
            )
        if match[2] == "out_proj.weight":
            found[layer, "W_O"] = tensor
            continue
        if tensor.ndim != 2 or tensor.shape[0] != 3 * tensor.shape[1]:
            raise ValueError(
                f"attention_matrices: {name} has shape {tuple(tensor.shape)}, not (3d, d): "
                "W_Q, W_K and W_V are its thirds"
            )
        found |= {(layer, f"W_{letter}"): third for letter, third in zip("QKV", tensor.chunk(3), strict=True)}
    if not found:
        raise ValueError(
            f"attention_matrices: none of the {len(tensors)} names ends in <layer>.self_attn.in_proj_weight or "
            "<layer>.self_attn.out_proj.weight"
        )
    order = sorted(found, key=lambda key: (key[0], "QKVO".index(key[1][-1])))
    return {f"layer{layer}.{letter}": found[layer, letter] for layer, letter in order}


def weight_singular_values(matrices: Mapping[str, Tensor], k: int) -> Floats:
    """The ``k`` largest singular values of each matrix, (number of matrices, k) float64, in the order given.

    Args:
        matrices: name -> (m, n), such as :func:`attention_matrices` gives.
        k: from 1 to the smallest side of any matrix.

    Raises:
        ValueError: there is no matrix, ``k`` is out of range, an entry is not a matrix, or it is not finite.

    Cost: an SVD in float64 each, without vectors; about 2 ms at 128 x 128.

    >>> weight_singular_values({"W": torch.diag(torch.tensor([1.0, 3.0]))}, 2).tolist()
    [[3.0, 1.0]]
    """
    if not matrices:
        raise ValueError("weight_singular_values: there are no matrices")
    rows = []
    for name, matrix in matrices.items():
        if matrix.ndim != 2 or not 1 <= k <= min(matrix.shape):
            raise ValueError(
                f"weight_singular_values: {name} has shape {tuple(matrix.shape)}; {k} singular values are not there"
            )
        if not torch.isfinite(matrix).all():
            raise ValueError(f"weight_singular_values: {name} has NaN or infinite entries")
        rows.append(torch.linalg.svdvals(matrix.detach().double())[:k].cpu().numpy())
    return np.stack(rows)


@lru_cache(maxsize=8)
def random_gap_ratios(rows: int, columns: int, n: int, seed: int) -> Floats:
    """sigma_1 / sigma_2 of ``n`` matrices of independent uniform entries, as Xavier or Kaiming initialisation has them.

    The ratio does not depend on the scale, and at sizes such as 128 x 128 hardly on the distribution of the entries:
    both singular values lie at the edge of the Marchenko-Pastur law, hence their ratio is close to 1 for *any* random
    matrix. Near-degeneracy of weights means something only against this. Source: ours.

    Args:
        rows, columns: shape of the matrices, each at least 2.
        n: how many, at least 1.
        seed: a nonnegative integer.

    Returns:
        (n,) float64, read-only. Costs n SVDs once a shape; about 0.4 s at n = 200, 128 x 128.

    Raises:
        ValueError: an argument is out of range.

    >>> bool(random_gap_ratios(64, 64, 50, 0).mean() < 1.1)
    True
    """
    if min(rows, columns) < 2 or n < 1 or seed < 0:
        raise ValueError(
            f"random_gap_ratios: {n} matrices of {rows} x {columns} with seed {seed}; need sides of at least 2, n >= 1 "
            "and a nonnegative seed"
        )
    draws = np.random.default_rng(seed).uniform(-1, 1, size=(n, rows, columns))
    sigma = np.linalg.svd(draws, compute_uv=False)
    ratios = sigma[:, 0] / sigma[:, 1]
    ratios.setflags(write=False)
    return ratios
