"""Linear probes: which features of the input a representation, or its response to a direction, is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases import grouping

__all__ = ["RidgeFit", "RidgeProbe", "cross_term_features", "cross_term_sets", "fourier_features", "mirror_folds"]

Floats = NDArray[np.float64]

_CROSS_FREQUENCIES = 10
# Outputs regressed at once: wide enough for a fast matrix product, about 80 MB for 9409 inputs.
_OUTPUTS_AT_ONCE = 1024


def fourier_features(labels: ArrayLike, order: int, n_frequencies: int | None = None) -> Floats:
    """cos(2 pi w q/M) for w = 1 … n, then sin(2 pi w q/M), (N, 2n).

    Args:
        labels: (N,) q in 0 … M-1.
        order: M, at least 3.
        n_frequencies: n in 1 … M//2, which is also the default; at M even the last sine is zero.

    Raises:
        ValueError: a label or n is out of range.

    >>> fourier_features([0, 1, 2], order=4).round(3).tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, -1.0, 1.0, 0.0], [-1.0, 1.0, 0.0, -0.0]]
    """
    labels = np.asarray(labels)
    if labels.size and not 0 <= labels.min() <= labels.max() < order:
        raise ValueError(
            f"fourier_features: labels from {labels.min()} to {labels.max()} are outside 0..{order - 1}; leave out "
            "inputs of no group (-1)"
        )
    if n_frequencies is not None and not 1 <= n_frequencies <= order // 2:
        raise ValueError(f"fourier_features: n_frequencies = {n_frequencies} is outside 1..{order // 2}")
    frequencies = np.arange(1, (order // 2 if n_frequencies is None else n_frequencies) + 1)
    angle = 2 * np.pi * np.outer(labels, frequencies) / order
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def cross_term_features(pairs: np.ndarray, p: int) -> Floats:
    """Additive and multiplicative Fourier features of nonzero pairs, and their products (paper, C10), (N, m).

    cos and sin of 2 pi w (a + b)/p for w = 1 … (p-1)/2; the same of dlog a + dlog b mod p-1; and the products of the
    cos and sin of the first ten frequencies of each. :func:`cross_term_sets` names the columns; m = 592 for p = 97.

    Args:
        pairs: (N, 2) in 1 … p-1.
        p: prime modulus, at least 5.

    Raises:
        ValueError: a pair contains zero, or ``p`` is not a prime.
    """
    additive, multiplicative = grouping("sum", p), grouping("discrete_log", p)
    exponents = multiplicative(pairs)
    if (exponents < 0).any():
        raise ValueError("cross_term_features: a pair contains zero, which has no discrete log; leave it out")
    first = min(_CROSS_FREQUENCIES, (p - 1) // 2)
    left = fourier_features(additive(pairs), additive.order, first)
    right = fourier_features(exponents, multiplicative.order, first)
    return np.concatenate(
        [
            fourier_features(additive(pairs), additive.order),
            fourier_features(exponents, multiplicative.order),
            (left[:, :, None] * right[:, None, :]).reshape(len(pairs), -1),
        ],
        axis=1,
    )


def cross_term_sets(p: int) -> dict[str, slice]:
    """Columns of :func:`cross_term_features`: ``add``, ``mul``, ``both`` together, ``cross`` with the products.

    >>> {name: columns.stop - columns.start for name, columns in cross_term_sets(97).items()}
    {'add': 96, 'mul': 96, 'both': 192, 'cross': 592}
    """
    products = (2 * min(_CROSS_FREQUENCIES, (p - 1) // 2)) ** 2
    return {
        "add": slice(0, p - 1),
        "mul": slice(p - 1, 2 * (p - 1)),
        "both": slice(0, 2 * (p - 1)),
        "cross": slice(0, 2 * (p - 1) + products),
    }


def mirror_folds(pairs: np.ndarray, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Deal pairs into folds of nearly equal size, (a, b) and (b, a) always into the same one, (N,) in 0 … n_folds-1.

    To symmetric features the two are one input, and a model of a commutative operation nearly agrees: with one of them
    in training the other would not be held out.

    Raises:
        ValueError: fewer than 2 folds, or more than there are unordered pairs.
    """
    _, unordered = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    n = int(unordered.max()) + 1
    if n_folds != int(n_folds) or not 2 <= n_folds <= n:
        raise ValueError(f"mirror_folds: n_folds = {n_folds} is no integer or outside 2..{n}, the unordered pairs")
    return np.random.default_rng(seed).permutation(np.arange(n) % n_folds)[unordered.ravel()]


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """R^2 of k responses on each of s feature sets, over all d outputs together; NaN for a constant response.

    Attributes:
        in_sample: (s, k) 1 - ||Y - Y_hat||^2 / ||Y - mean||^2. Rises with the number of features whatever they are.
        cross_validated: (s, k) the same of held-out folds, pooled, with mean and Y_hat of the other folds; negative
            where the features are worse than no features. ``None`` without folds.
    """

    in_sample: Floats
    cross_validated: Floats | None


class RidgeProbe:
    """Ridge regression of many responses on fixed features, in sample and cross-validated.

    With an intercept that is not penalised: B = (X^T X + alpha)^-1 X^T Y for X and Y centred on the inputs fitted.
    Everything follows from moments of each fold: X_f^T Y_f, made once for all feature sets, X_f^T X_f and ||Y_f||^2;
    each (set, fold) system is factorised once, because hundreds of null responses share the features. Multivariate
    R^2 in sample is the published one (C10); read it only beside the same figure for random features.

    Args:
        features: (N, m).
        alpha: ridge penalty, positive.
        sets: columns of each feature set, by name; one set of all columns if left out.
        folds: (N,) fold of each input, 0 … n-1, each at least once; in-sample figures only if left out.

    Raises:
        ValueError: ``alpha`` is not positive, or ``folds`` do not fit.

    Cost: N m^2 + s n m^3 once; memory N m + 2 s n m^2 float64.

    >>> x = np.arange(8.0)[:, None]
    >>> fit = RidgeProbe(x, alpha=1e-9, folds=np.arange(8) % 2).r2(np.stack([3 * x + 1, x**0]))
    >>> fit.in_sample.round(6).tolist(), fit.cross_validated.round(6).tolist()
    ([[1.0, nan]], [[1.0, nan]])
    """

    def __init__(
        self,
        features: np.ndarray,
        alpha: float = 1.0,
        sets: Mapping[str, slice] | None = None,
        folds: np.ndarray | None = None,
    ) -> None:
        if not alpha > 0:
            raise ValueError(f"RidgeProbe: alpha = {alpha}; the penalty must be positive")
        self.sets = tuple(sets or ("all",))
        self._order, self._parts = _fold_slices(len(features), folds)
        self._x = features.astype(np.float64)[self._order]
        # All moments are about the mean over all inputs, so that no fold's figures are differences of large numbers.
        self._x -= self._x.mean(axis=0)
        x = [_moments(self._x[part], self._x[part]) for part in self._parts]
        columns = list(sets.values()) if sets else [slice(None)]
        self._whole = [_System(np.sum([f.product[c, c] for f in x], axis=0), alpha) for c in columns]
        self._columns = columns
        self._held_out = [[_HeldOut(x, i, c, alpha) for i in range(len(x))] for c in columns] if len(x) > 1 else None

    def r2(self, responses: np.ndarray) -> RidgeFit:
        """R^2 of each of k responses (k, N, d).

        Cost: 2 k N m d + 4 s n k m^2 d operations.
        """
        found = [self._fit(chunk) for chunk in _chunks(responses)]
        in_sample = np.concatenate([part.in_sample for part in found], axis=1)
        held_out = [part.cross_validated for part in found if part.cross_validated is not None]
        return RidgeFit(in_sample, np.concatenate(held_out, axis=1) if held_out else None)

    def coefficients(self, targets: np.ndarray) -> Floats:
        """B of the first feature set for targets (N, d), fitted on all inputs, (m, d).

        The prediction for a new input is mean(Y) + (x - mean(X)) B.
        """
        y = self._centered(targets[None])
        return self._whole[0].solve(self._x[:, self._columns[0]].T @ y)

    def _centered(self, responses: np.ndarray) -> Floats:
        """(k, N, d) -> (N, k d) float64, inputs in the order of the folds, about their mean."""
        k, n, d = responses.shape
        if n != len(self._order):
            raise ValueError(f"RidgeProbe: responses of {n} inputs; the features are of {len(self._order)}")
        y = np.empty((n, k, d))
        for i, response in enumerate(responses):
            y[:, i] = response[self._order]
        equal = (y == y[:1]).all(axis=0)  # their mean may be off by its rounding
        y -= y.mean(axis=0)
        y[:, equal] = 0
        return y.reshape(n, k * d)

    def _fit(self, responses: np.ndarray) -> RidgeFit:
        k = len(responses)
        y = self._centered(responses)
        moments = [_moments(self._x[part], y[part]) for part in self._parts]
        whole = np.sum([f.product for f in moments], axis=0)
        total = np.sum([f.power for f in moments], axis=0)
        in_sample = [
            _share([(s.residual(whole[c], total), total)], k) for s, c in zip(self._whole, self._columns, strict=True)
        ]
        if self._held_out is None:
            return RidgeFit(np.array(in_sample), None)
        held_out = [_share([s.residual(moments, whole) for s in systems], k) for systems in self._held_out]
        return RidgeFit(np.array(in_sample), np.array(held_out))


@dataclass(frozen=True)
class _Moments:
    """Of one fold: X_f^T Y_f, (m, c), and the column sums, column sums of squares and number of rows of Y_f."""

    product: Floats
    total: Floats
    power: Floats
    count: int


def _moments(x: Floats, y: Floats) -> _Moments:
    return _Moments(x.T @ y, y.sum(axis=0), _dots(y, y), len(y))


def _dots(a: Floats, b: Floats) -> Floats:
    """Inner products of corresponding columns."""
    return np.einsum("nc,nc->c", a, b)


class _System:
    """The regression on centred features with Gram matrix G."""

    def __init__(self, gram: Floats, alpha: float) -> None:
        self._alpha = alpha
        self._factor = scipy.linalg.cho_factor(gram + alpha * np.eye(len(gram)), lower=True)

    def solve(self, product: Floats) -> Floats:
        return scipy.linalg.cho_solve(self._factor, product, check_finite=False)

    def residual(self, product: Floats, total: Floats) -> Floats:
        """||y - Xb||^2 of each column y, from X^T y and ||y||^2: ||y||^2 - b.X^T y - alpha ||b||^2."""
        b = self.solve(product)
        return total - _dots(b, product) - self._alpha * _dots(b, b)


class _HeldOut:
    """Fold ``i`` predicted from the others, on the columns of one feature set."""

    def __init__(self, x: Sequence[_Moments], i: int, columns: slice, alpha: float) -> None:
        self._i, self._columns = i, columns
        own = x[i]
        self._n_train = sum(f.count for f in x) - own.count
        total = own.total[columns]
        self._mean = -total / self._n_train  # of the other folds: over all inputs the sum is zero
        everything = np.sum([f.product[columns, columns] for f in x], axis=0)
        outside = everything - own.product[columns, columns] - self._n_train * np.outer(self._mean, self._mean)
        self._system = _System(outside, alpha)
        self._total, self._count = total, own.count
        # X_f^T X_f about the mean of the other folds.
        self._gram = (
            own.product[columns, columns]
            - np.outer(total, self._mean)
            - np.outer(self._mean, total)
            + own.count * np.outer(self._mean, self._mean)
        )

    def residual(self, y: Sequence[_Moments], whole: Floats) -> tuple[Floats, Floats]:
        """||y_f - prediction||^2 and ||y_f - mean||^2 of each column, prediction and mean of the other folds."""
        own = y[self._i]
        product = own.product[self._columns]
        mean = -own.total / self._n_train
        b = self._system.solve(whole[self._columns] - product - self._n_train * np.outer(self._mean, mean))
        about = (
            product
            - np.outer(self._total, mean)
            - np.outer(self._mean, own.total)
            + self._count * np.outer(self._mean, mean)
        )
        total = own.power - 2 * mean * own.total + self._count * mean**2
        return total - 2 * _dots(b, about) + _dots(b, self._gram @ b), total


def _share(folds: Sequence[tuple[Floats, Floats]], k: int) -> Floats:
    """1 - residual / total of k responses, from both of every output, summed over outputs and folds."""
    residual, total = np.sum(folds, axis=0).reshape(2, k, -1).sum(axis=2)
    return 1 - residual / np.where(total == 0, np.nan, total)


def _fold_slices(n: int, folds: np.ndarray | None) -> tuple[NDArray[np.int64], list[slice]]:
    """An order of the inputs in which every fold is a slice, and these."""
    if folds is None:
        return np.arange(n), [slice(0, n)]
    counts = np.bincount(folds)
    if len(folds) != n or len(counts) < 2 or (counts == 0).any():
        raise ValueError(
            f"RidgeProbe: folds name {len(counts)} folds of {counts.tolist()} inputs for {n} inputs; give every input "
            "one of at least two folds, none of them empty"
        )
    ends = np.cumsum(counts)
    return np.argsort(folds, kind="stable"), [slice(e - c, e) for c, e in zip(counts, ends, strict=True)]


def _chunks(responses: np.ndarray) -> Iterator[np.ndarray]:
    at_once = max(1, _OUTPUTS_AT_ONCE // responses.shape[2])
    return (responses[i : i + at_once] for i in range(0, len(responses), at_once))
