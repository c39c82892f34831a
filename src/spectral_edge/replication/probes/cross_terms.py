"""Responses regressed on additive and multiplicative features and their products, and on substitutes for them (C10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from spectral_edge.comparison.features import computed_once
from spectral_edge.representation import RidgeProbe, cross_term_features, cross_term_sets, mirror_folds

__all__ = ["FEATURE_SETS", "CrossTermProbe", "CrossTermStatistic", "cross_gain", "statistic_name", "synergy"]

FEATURE_SETS = ("add", "mul", "both", "cross")
_FOLDS = 5


class CrossTermProbe:
    """Ridge R^2 of responses on the features of C10, alpha = 1, in sample and in five folds.

    Args:
        pairs: (N, 2) of the task.
        among: indices of the pairs to use; those with a zero have no discrete log and are left out.
        p: prime modulus.
        seed: of the folds and of the substitutes.

    Attributes:
        inputs: (n,) indices of the pairs used.
    """

    def __init__(self, pairs: np.ndarray, among: np.ndarray, p: int, seed: int) -> None:
        self.inputs = among[(pairs[among] != 0).all(axis=1)]
        self._pairs, self._p, self._seed = pairs[self.inputs], p, seed
        self._folds = mirror_folds(self._pairs, _FOLDS, seed)
        self._features = cross_term_features(self._pairs, p)
        self._sets = cross_term_sets(p)
        self._probe = RidgeProbe(self._features, sets=self._sets, folds=self._folds)

    def statistics(self) -> dict[str, CrossTermStatistic]:
        """What the claim asks of a response to all pairs, by name; ``_cv``: of held-out R².

        ``r2`` of each feature set; ``synergy`` = R²(both) - max(R²(add), R²(mul)); ``cross_gain`` = R²(cross) -
        R²(both), and ``cross_ratio`` = R²(cross)/R²(both).
        """
        sets = {f"r2 {name}": partial(_one, i) for i, name in enumerate(FEATURE_SETS)}
        numbers = sets | {"synergy": synergy, "cross_gain": cross_gain}
        found = {
            statistic_name(name, held_out): CrossTermStatistic(self, number, held_out)
            for name, number in numbers.items()
            for held_out in (False, True)
        }
        return found | {"cross_ratio": CrossTermStatistic(self, lambda r2: r2[3] / r2[2], False)}

    def both_ways(self, response: Tensor) -> np.ndarray:
        """(2, 4) R² of a response (N, d) to all pairs: in sample and held out; by feature set."""
        return computed_once(
            response, ("cross terms", id(self)), lambda: (self.r2(response[None, self.inputs].cpu().numpy()), self)
        )[0][:, :, 0]

    def r2(self, responses: np.ndarray) -> np.ndarray:
        """R^2 of k responses (k, n, d) on the inputs used, (2, 4, k): in sample and held out; by feature set."""
        return _both_ways(self._probe, responses)

    def on_permuted_residues(self, responses: np.ndarray, n_draws: int) -> np.ndarray:
        """(n_draws, 2, 5, k) on features of (pi(a), pi(b)), pi a random permutation of the nonzero residues.

        The same algebra, smoothness and symmetry on the wrong group. The fifth set holds the named additive and
        multiplicative features with the products of permuted residues.
        """
        rng = np.random.default_rng((self._seed, 1))
        both, cross = self._sets["both"].stop, self._sets["cross"].stop
        sets = self._sets | {"wrong_products": slice(both, cross + both)}  # wrong products, then the named features
        draws = []
        for _ in range(n_draws):
            permuted = np.concatenate([[0], 1 + rng.permutation(self._p - 1)])
            features = np.hstack([cross_term_features(permuted[self._pairs], self._p), self._features[:, :both]])
            draws.append(_both_ways(RidgeProbe(features, sets=sets, folds=self._folds), responses))
        return np.array(draws)

    def with_noise(self, responses: np.ndarray) -> np.ndarray:
        """(2, k) on the named features with symmetric white noise n(a, b) = n(b, a) in place of the products."""
        both, cross = self._sets["both"].stop, self._sets["cross"].stop
        noise = np.random.default_rng((self._seed, 2)).standard_normal((self._p, self._p, cross - both))
        low, high = np.sort(self._pairs, axis=1).T
        features = np.hstack([self._features[:, :both], noise[low, high]])
        return _both_ways(RidgeProbe(features, folds=self._folds), responses)[:, 0]


@dataclass(frozen=True, eq=False)
class CrossTermStatistic:
    """A number of the R² of a response on the feature sets, for ``compare``.

    Args:
        probe: the regressions.
        number: of the (4,) R² by feature set.
        held_out: of held-out R², or in sample.
    """

    probe: CrossTermProbe
    number: Callable[[np.ndarray], Any]
    held_out: bool

    def __call__(self, response: Tensor) -> float:
        """The number of a response (N, d) to all pairs."""
        return float(self.number(self.probe.both_ways(response)[int(self.held_out)]))


def statistic_name(name: str, held_out: bool) -> str:
    """What ``compare`` calls a number of in-sample or held-out R²."""
    return f"{name} held out" if held_out else name


def synergy(r2: np.ndarray) -> Any:
    """R²(both) - max(R²(add), R²(mul)) of (4 or more, ...) R² by feature set."""
    return r2[2] - np.maximum(r2[0], r2[1])


def cross_gain(r2: np.ndarray) -> Any:
    """R²(cross) - R²(both)."""
    return r2[3] - r2[2]


def _one(index: int, r2: np.ndarray) -> Any:
    return r2[index]


def _both_ways(probe: RidgeProbe, responses: np.ndarray) -> np.ndarray:
    found = probe.r2(responses)
    assert found.cross_validated is not None  # the probe has folds
    return np.stack([found.in_sample, found.cross_validated])
