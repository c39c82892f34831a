"""Shape of a response in activation space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["effective_rank", "principal_scores", "response_shape"]

# Eigenvalues of an inner-product matrix that are rounding, relative to the largest.
_RANK = 1e-12


def effective_rank(response: Tensor) -> float | Tensor:
    """exp(H(s^2 / sum s^2)), s the singular values of an N x d response, H the Shannon entropy in nats.

    Between 1 (one direction carries all) and min(N, d) (all equal). Scale-free. Not centred. Source: paper, C4.

    Args:
        response: (N, d), or (k, N, d).

    Returns:
        A float, or a float64 tensor (k,).

    Raises:
        ValueError: a response is zero or not finite.

    Cost: N d min(N, d); from the eigenvalues of R^T R or R R^T in float64, whichever is smaller.

    >>> round(effective_rank(torch.eye(3)), 6)
    3.0
    """
    ranks = torch.stack([_rank(_gram(r)) for r in _in_double(response.reshape(-1, *response.shape[-2:]))])
    return float(ranks) if response.ndim == 2 else ranks


def principal_scores(response: Tensor, n_components: int = 1) -> Tensor:
    """Scores u_j s_j of the inputs on the first principal components of the column-centred response, (k, n, N) float64.

    The sign makes the largest entry of each component positive. Source: paper, C6 (first component).

    Args:
        response: (k, N, d).
        n_components: n in 1..d.

    Raises:
        ValueError: n is out of range, or a response is not finite.

    Cost: k N d min(N, d); from the eigenvectors of the covariance, or of its N x N counterpart, in float64.
    """
    if not 1 <= n_components <= response.shape[-1]:
        raise ValueError(f"principal_scores: n_components = {n_components} is outside 1..{response.shape[-1]}")
    return torch.stack([_scores(r, _gram(r), n_components) for r in _in_double(_finite(response, "principal_scores"))])


def response_shape(response: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """:func:`effective_rank` and :func:`principal_scores` of responses (k, N, d) from one Gram matrix each.

    ``n_components`` may be 0; the scores are then (k, 0, N).

    Raises:
        ValueError: as these.
    """
    if not 0 <= n_components <= response.shape[-1]:
        raise ValueError(f"response_shape: n_components = {n_components} is outside 0..{response.shape[-1]}")
    ranks, scores = [], []
    for r in _in_double(response):
        gram = _gram(r)
        ranks.append(_rank(gram))
        scores.append(_scores(r, gram, n_components) if n_components else r.new_empty(0, len(r)))
    return torch.stack(ranks), torch.stack(scores)


def _in_double(responses: Tensor) -> Iterator[Tensor]:
    """Each (N, d) in float64, in the same memory one after the other: new memory costs more than the conversion."""
    room = torch.empty(responses.shape[1:], dtype=torch.float64, device=responses.device)
    for response in responses.detach():
        yield room.copy_(response)


def _finite(responses: Tensor, function: str) -> Tensor:
    if not torch.isfinite(responses).all():
        raise ValueError(f"{function}: a response is not finite")
    return responses


def _gram(x: Tensor) -> Tensor:
    """X^T X, or X X^T where that is smaller: their eigenvalues are the same, but for zeros."""
    columns = x.T if len(x) < x.shape[1] else x
    # NumPy sees that the product is symmetric, and computes half of it.
    return torch.from_numpy(columns.numpy().T @ columns.numpy()) if x.device.type == "cpu" else columns.T @ columns


def _rank(gram: Tensor) -> Tensor:
    if not torch.isfinite(gram).all() or not gram.any():
        raise ValueError("effective_rank: a response is zero or not finite")
    power = torch.linalg.eigvalsh(gram).clamp(min=0)
    return torch.exp(torch.special.entr(power / power.sum()).sum())


def _scores(x: Tensor, gram: Tensor, n_components: int) -> Tensor:
    if len(x) < x.shape[1]:
        return _scores_of_few(x, gram, n_components)
    mean = x.mean(0)
    components = torch.linalg.eigh(gram - len(x) * torch.outer(mean, mean)).eigenvectors[:, -n_components:].flip(1)
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    components = (components * largest.sign()).T.contiguous()
    return components @ x.T - (components @ mean)[:, None]


def _scores_of_few(x: Tensor, gram: Tensor, n_components: int) -> Tensor:
    """Scores from the (N, N) matrix of inner products of the inputs; those beyond the rank are 0."""
    means = gram.mean(0)
    values, vectors = torch.linalg.eigh(gram - means - means[:, None] + means.mean())
    n = min(n_components, len(x))
    values, vectors = values[-n:].flip(0), vectors[:, -n:].flip(1)
    largest = values.clamp(min=0).max()
    scores = torch.where(values > _RANK * largest, values.clamp(min=0).sqrt(), 0)[:, None] * vectors.T
    components = scores @ (x - x.mean(0))  # v_j times the eigenvalue, whose largest entry gives the sign
    signs = components.gather(1, components.abs().argmax(1, keepdim=True)).sign()
    found = x.new_zeros(n_components, len(x))
    found[:n] = scores * signs
    return found
