"""Shape of a response in activation space."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["effective_rank", "principal_scores"]


def effective_rank(response: Tensor) -> float | Tensor:
    """exp(H(s^2 / sum s^2)), s the singular values of an N x d response, H the Shannon entropy in nats.

    Between 1 (one direction carries all) and min(N, d) (all equal). Scale-free. Not centred. Source: paper, C4.

    Args:
        response: (N, d), or (k, N, d).

    Returns:
        A float, or a float64 tensor (k,).

    Raises:
        ValueError: a response is zero or not finite.

    Cost: N d^2; from the eigenvalues of the d x d matrix R^T R in float64.

    >>> round(effective_rank(torch.eye(3)), 6)
    3.0
    """
    stack = response.double().reshape(-1, *response.shape[-2:])
    power = torch.linalg.eigvalsh(stack.mT @ stack).clamp(min=0)
    total = power.sum(1, keepdim=True)
    if not torch.isfinite(total).all() or (total <= 0).any():
        raise ValueError("effective_rank: a response is zero or not finite")
    rank = torch.exp(torch.special.entr(power / total).sum(1))
    return float(rank) if response.ndim == 2 else rank


def principal_scores(response: Tensor, n_components: int = 1) -> Tensor:
    """Scores u_j s_j of the inputs on the first principal components of the column-centred response, (k, n, N) float64.

    The sign makes the largest entry of each component positive. Source: paper, C6 (first component).

    Args:
        response: (k, N, d).
        n_components: n in 1..d.

    Raises:
        ValueError: n is out of range.

    Cost: k N d^2; from the eigenvectors of the d x d covariance in float64.
    """
    if not 1 <= n_components <= response.shape[-1]:
        raise ValueError(f"principal_scores: n_components = {n_components} is outside 1..{response.shape[-1]}")
    centered = response.double() - response.double().mean(1, keepdim=True)
    components = torch.linalg.eigh(centered.mT @ centered).eigenvectors[..., -n_components:].flip(-1)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    return (centered @ (components * largest.sign())).mT
