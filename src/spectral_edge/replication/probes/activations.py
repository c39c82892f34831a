"""Linear probing as a user would do it, of activations and of what a direction does to them (C4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spectral_edge.bases import grouping
from spectral_edge.grokking import ModularTask, ModularTransformer, Split, TrainingConfig
from spectral_edge.representation import RidgeProbe, fourier_features, mirror_folds
from spectral_edge.subjects import BASIS

__all__ = ["ActivationProbes", "FrequencyR2", "untrained_models"]

_FOLDS = 5
_TOP = 3


def untrained_models(training: TrainingConfig, n: int, seed: int) -> list[ModularTransformer]:
    """``n`` fresh initialisations of the run's architecture; the global random state is left as it was."""
    models = []
    with torch.random.fork_rng(devices=[]):
        for i in range(n):
            torch.manual_seed(1_000_003 * seed + i)
            t = training
            models.append(ModularTransformer(t.p, t.operations, t.d_model, t.n_heads, t.n_layers, t.d_mlp))
    return models


@dataclass(frozen=True)
class FrequencyR2:
    """What linear probes find in one representation, h or a response.

    Attributes:
        r2: (M // 2,) held-out R^2 of cos and sin of 2 pi w q/M together, w = 1 … M // 2.
    """

    r2: np.ndarray

    @property
    def top(self) -> list[int]:
        """The three frequencies read best, best first."""
        return (np.argsort(-self.r2, kind="stable")[:_TOP] + 1).tolist()

    @property
    def best(self) -> float:
        """Mean R^2 of these three."""
        return float(np.sort(self.r2)[-_TOP:].mean())


class ActivationProbes:
    """Ridge probes for the Fourier features of the task's own grouping q(a, b), alpha = 1, features at unit variance.

    Held-out means five folds that keep (a, b) and (b, a) together. Representations are scaled to a mean variance of 1
    a coordinate, so that the penalty means the same for activations and for responses, whose size is arbitrary.

    Args:
        task: gives pairs and labels.
        split: which pairs the model was trained on; the accuracy is that of the others.
        seed: of the folds.
    """

    def __init__(self, task: ModularTask, split: Split, seed: int) -> None:
        q = grouping(BASIS[task.name], task.p)
        self.order = q.order
        self._labels = q(task.pairs)
        self._split = split
        self._folds = mirror_folds(task.pairs, _FOLDS, seed)
        self._targets = _by_frequency(fourier_features(self._labels, self.order))

    def read(self, representation: np.ndarray) -> FrequencyR2:
        """Probe a representation (N, d) for every frequency."""
        probe = RidgeProbe(_unit_variance(representation), folds=self._folds)
        return FrequencyR2(_held_out(probe, self._targets))

    def read_permuted(self, representation: np.ndarray, n: int, seed: int) -> list[FrequencyR2]:
        """The same after permuting which input has which label, ``n`` times."""
        probe = RidgeProbe(_unit_variance(representation), folds=self._folds)
        rng = np.random.default_rng(seed)
        return [FrequencyR2(_held_out(probe, self._targets[:, rng.permutation(len(self._labels))])) for _ in range(n)]

    def accuracy(self, representation: np.ndarray) -> float:
        """Share of the model's held-out pairs that a probe fitted on its training pairs puts into the right group.

        The class of the largest output of a ridge regression on one-hot classes; cos and sin of all frequencies are
        the same outputs in another basis.
        """
        train, test = self._split.train, self._split.test
        x, y = _unit_variance(representation), fourier_features(self._labels, self.order)
        predicted = y[train].mean(0) + (x[test] - x[train].mean(0)) @ RidgeProbe(x[train]).coefficients(y[train])
        classes = fourier_features(np.arange(self.order), self.order)
        if self.order % 2 == 0:  # the last frequency has one coefficient, not two, and half the weight
            classes[:, self.order // 2 - 1] /= 2
        return float(((predicted @ classes.T).argmax(axis=1) == self._labels[test]).mean())

    def readout(self, representation: np.ndarray, frequencies: list[int]) -> np.ndarray:
        """Orthonormal basis (d, r) of what the probes for these frequencies read, r = 2 len(frequencies) or less."""
        y = np.concatenate([self._targets[w - 1] for w in frequencies], axis=1)
        coefficients = RidgeProbe(_unit_variance(representation)).coefficients(y)
        left, s, _ = np.linalg.svd(coefficients, full_matrices=False)
        return left[:, s > 1e-9 * s[0]]


def _unit_variance(representation: np.ndarray) -> np.ndarray:
    return representation / np.sqrt(representation.astype(np.float64).var(axis=0).mean())


def _by_frequency(features: np.ndarray) -> np.ndarray:
    """(N, 2n) cosines, then sines -> (n, N, 2)."""
    return np.stack(np.split(features, 2, axis=1), axis=-1).swapaxes(0, 1)


def _held_out(probe: RidgeProbe, targets: np.ndarray) -> np.ndarray:
    found = probe.r2(targets).cross_validated
    assert found is not None  # the probe has folds
    return found[0]
