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


def principal_scores(response: Tensor) -> Tensor:
    """Scores of the inputs on the first principal component of the column-centred response, (k, N) float64.

    They are u_1 s_1 of the centred response; the sign makes the largest entry of the component positive.

    Args:
        response: (k, N, d).

    Cost: k N d^2.
    """
    centered = response.double() - response.double().mean(1, keepdim=True)
    component = torch.linalg.eigh(centered.mT @ centered).eigenvectors[..., -1]
    largest = component.gather(1, component.abs().argmax(1, keepdim=True))
    return (centered @ (component * largest.sign())[..., None])[..., 0]
