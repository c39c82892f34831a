"""Which inputs and which tasks a direction serves: the loss of every single input, differentiated along it."""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

__all__ = ["co_usage", "half_mass_share", "loss_derivatives", "loss_gradient", "sharedness"]

Floats = NDArray[np.float64]


def loss_gradient(head: nn.Module, residual: Tensor, labels: Tensor) -> Tensor:
    """Gradient of each input's own cross-entropy with respect to its own residual, dl(x)/dh(x), (N, d) float64.

    The head is evaluated in float64: where the model is sure of the answer, softmax minus one-hot cancels, and in
    float32 nothing would be left of it. Source: ours; with it C12 needs one response per direction and no gradient
    per input.

    Args:
        head: residual -> logits (N, C), each row apart, in ``eval`` mode or without dropout; it is copied, not changed.
        residual: (N, d).
        labels: (N,) int64 in 0..C-1.

    Cost: one forward and one backward pass of the head; memory N C float64.

    >>> head = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(head.weight)
    >>> loss_gradient(head, torch.zeros(1, 2), torch.tensor([0])).tolist()  # softmax (1/2, 1/2) minus (1, 0)
    [[-0.5, 0.5]]
    """
    h = residual.detach().double().requires_grad_(True)
    with torch.enable_grad():
        # Rows do not mix, so the gradient of the sum holds each input's own.
        loss = F.cross_entropy(copy.deepcopy(head).double()(h), labels, reduction="sum")
        return torch.autograd.grad(loss, h)[0]


def loss_derivatives(response: Tensor, gradient: Tensor) -> Tensor:
    """a_k(x) = <dl(x)/dh(x), dh(x)/dv_k> = <grad_theta l(x), v_k>, the chain rule at the residual; (k, N) float64.

    Exact if the parameters of the directions reach the loss through the residual only, as attention weights do; the
    product is taken in the precision of the response. Source: paper, C12. The sign of a_k is that of v_k, which is
    arbitrary.

    Args:
        response: (k, N, d) exact derivatives of the residual, as of ``functional_modes`` or ``iterate_responses``.
        gradient: (N, d) from :func:`loss_gradient`; one for each task on the same residual.

    Raises:
        ValueError: shapes do not fit.

    Cost: k N d multiply-adds.

    >>> loss_derivatives(torch.ones(3, 1, 2), torch.tensor([[1.0, 2.0]])).tolist()
    [[3.0], [3.0], [3.0]]
    """
    if response.shape[1:] != gradient.shape:
        raise ValueError(
            f"loss_derivatives: response {tuple(response.shape)} and gradient {tuple(gradient.shape)} differ in inputs "
            "or width; take both on the same inputs"
        )
    return torch.einsum("knd,nd->kn", response, gradient.to(response.dtype)).double()


def co_usage(derivatives: ArrayLike, method: Literal["pearson", "spearman"] = "pearson") -> Floats:
    """Correlate the loss derivatives of directions over inputs: C_ij = corr_x(a_i(x), a_j(x)).

    Source: paper, C12 (Pearson). The sign of a direction is arbitrary, so is that of C_ij: only |C_ij| has a meaning.
    Losses of a trained model are heavy-tailed, and few inputs can then make a Pearson correlation of any size;
    Spearman's, of ranks (ours), does not follow them.

    Args:
        derivatives: (k, N) from :func:`loss_derivatives`, N at least 2.
        method: ``"pearson"`` or ``"spearman"`` (ties share their mean rank).

    Returns:
        (k, k) symmetric, diagonal 1.

    Raises:
        ValueError: wrong shape, a derivative that is not finite or is constant, or an unknown method.

    >>> co_usage([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]]).round(6)
    array([[ 1.,  1., -1.],
           [ 1.,  1., -1.],
           [-1., -1.,  1.]])
    """
    values = np.asarray(derivatives, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"co_usage: derivatives must be (k, N) with N at least 2, not {values.shape}")
    if method not in ("pearson", "spearman"):
        raise ValueError(f"co_usage: method = {method!r}; choose 'pearson' or 'spearman'")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1) | (np.ptp(values, axis=1) == 0))
    if bad.size:
        raise ValueError(f"co_usage: derivative {bad[0]} is constant or not finite and correlates with nothing")
    if method == "spearman":
        values = rankdata(values, axis=1)
    values = values - values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return np.clip(values @ values.T, -1, 1)


def sharedness(usage: ArrayLike) -> Floats:
    """How many of T tasks use a direction, as a share: (sum_T U)^2 / (T sum_T U^2), in [1/T, 1].

    1 if all tasks use it equally, 1/T if one does. U = E_x[a^2] is a task's usage. Source: paper, C12. Tasks with
    losses of different size have usages of different size along *every* direction: compare with random ones.

    Args:
        usage: (T, ...) not negative, tasks along the first axis.

    Returns:
        (...) float64.

    Raises:
        ValueError: no tasks, a usage that is negative or not finite, or a direction that no task uses.

    >>> sharedness([[1.0, 1.0], [1.0, 0.0]])
    array([1. , 0.5])
    """
    values = np.asarray(usage, dtype=np.float64)
    if values.ndim < 1 or len(values) == 0:
        raise ValueError(f"sharedness: usage must be (T, ...) with at least one task, not {values.shape}")
    largest = values.max(axis=0)
    if not np.isfinite(values).all() or (values < 0).any() or (largest <= 0).any():
        raise ValueError("sharedness: usages must be finite, not negative, and not zero for all tasks of a direction")
    scaled = values / largest  # usages of a converged model are tiny: their squares must not underflow
    return scaled.sum(axis=0) ** 2 / (len(values) * (scaled**2).sum(axis=0))


def half_mass_share(derivatives: ArrayLike) -> Floats:
    """Smallest share of the inputs that carries half of sum_x a(x)^2, in [1/N, (1 + 1/N)/2].

    About 1/2 if all inputs count alike, 0.12 for a normal distribution, near 0 if a few inputs dominate. Source: ours.

    Args:
        derivatives: (k, N).

    Returns:
        (k,) float64.

    Raises:
        ValueError: a derivative is not finite or zero everywhere.

    >>> half_mass_share([[1.0, 1.0, 1.0, 1.0], [9.0, 0.0, 1.0, 0.0]])
    array([0.5 , 0.25])
    """
    power = np.sort(np.asarray(derivatives, dtype=np.float64) ** 2, axis=1)[:, ::-1]
    total = power.sum(axis=1, keepdims=True)
    if not np.isfinite(total).all() or (total <= 0).any():
        raise ValueError("half_mass_share: a derivative is not finite or zero for all inputs")
    return ((np.cumsum(power, axis=1) < total / 2).sum(axis=1) + 1) / power.shape[1]
