"""Linear probes that ask which features of the input a response is made of."""

from __future__ import annotations

import numpy as np

from spectral_edge.bases import grouping

__all__ = ["RidgeProbe", "cross_term_features"]

_CROSS_FREQUENCIES = 10


def _cos_sin(angle_index: np.ndarray, order: int, frequencies: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * np.outer(angle_index, frequencies) / order
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def cross_term_features(pairs: np.ndarray, p: int, which: str = "cross") -> np.ndarray:
    """Fourier features of nonzero pairs: additive, multiplicative, both, or both with products (paper, C10).

    ``"add"`` holds cos and sin of 2 pi w (a + b)/p for w = 1..(p-1)/2; ``"mul"`` the same of dlog a + dlog b mod p-1
    for w = 1..(p-1)/2; ``"both"`` joins them; ``"cross"`` adds the products of the cos and sin of the first ten
    frequencies of each, 400 columns.

    Args:
        pairs: (N, 2) in 1..p-1.
        p: prime modulus.
        which: "add", "mul", "both" or "cross".

    Raises:
        ValueError: a pair contains zero, or ``which`` is unknown.
    """
    if which not in ("add", "mul", "both", "cross"):
        raise ValueError(f"cross_term_features: which = {which!r}; choose add, mul, both or cross")
    additive, multiplicative = grouping("sum", p), grouping("discrete_log", p)
    exponents = multiplicative(pairs)
    if (exponents < 0).any():
        raise ValueError("cross_term_features: a pair contains zero, which has no discrete log; leave it out")
    frequencies = np.arange(1, (p - 1) // 2 + 1)
    add = _cos_sin(additive(pairs), additive.order, frequencies)
    mul = _cos_sin(exponents, multiplicative.order, frequencies)
    if which in ("add", "mul"):
        return add if which == "add" else mul
    if which == "both":
        return np.concatenate([add, mul], axis=1)
    first = frequencies[:_CROSS_FREQUENCIES]
    left = _cos_sin(additive(pairs), additive.order, first)
    right = _cos_sin(exponents, multiplicative.order, first)
    cross = (left[:, :, None] * right[:, None, :]).reshape(len(pairs), -1)
    return np.concatenate([add, mul, cross], axis=1)


class RidgeProbe:
    """Multivariate R^2 of responses regressed on fixed features, in sample, as published (C10).

    Ridge regression with an intercept: Y_hat = mean + U diag(s^2 / (s^2 + alpha)) U^T Y, where U, s come from the thin
    SVD of the centred features, and R^2 = 1 - ||Y - Y_hat||^2 / ||Y - mean||^2 over all outputs together. In sample,
    and rising with the number of features whatever they are: read it only beside the same figure for a null. The
    factorisation is made once, because hundreds of null responses share the features.

    Args:
        features: (N, m).
        alpha: ridge penalty, positive.

    Cost: N m^2 once; memory N m float64.
    """

    def __init__(self, features: np.ndarray, alpha: float = 1.0) -> None:
        left, s, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
        shrink = s**2 / (s**2 + alpha)
        self._left = left
        # ||Y - Y_hat||^2 = ||Y||^2 - sum_i (2 d_i - d_i^2) ||u_i^T Y||^2 for centred Y and shrinkage d.
        self._explained = 2 * shrink - shrink**2

    def r2(self, responses: np.ndarray) -> np.ndarray:
        """R^2 of each of k responses (k, N, d), shape (k,); NaN for a constant response.

        Cost: k N m d.
        """
        centered = responses.astype(np.float64)
        centered -= centered.mean(axis=1, keepdims=True)
        total = (centered**2).sum(axis=(1, 2))
        explained = [self._explained @ ((self._left.T @ y) ** 2).sum(axis=1) for y in centered]
        return np.array(explained) / np.where(total == 0, np.nan, total)
