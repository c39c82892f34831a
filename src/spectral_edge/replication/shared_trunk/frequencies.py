"""Which frequencies a trained model uses, read from its logits and its embedding: no edge is involved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spectral_edge.bases import discrete_log_table
from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.statistics import fourier_profile

__all__ = ["FrequencyUse", "embedding_frequencies", "logit_frequencies", "logits_of"]

_TOP = 5


@dataclass(frozen=True)
class FrequencyUse:
    """The spectrum of one reading of a model, and how concentrated it would be without its order.

    Attributes:
        grouping: what the frequencies count, as in :func:`spectral_edge.bases.grouping`.
        power: (M//2,) at frequency 1 … M//2.
        permuted: (n,) concentrations after permutations of the M values.
    """

    grouping: str
    power: np.ndarray
    permuted: np.ndarray

    @property
    def concentration(self) -> float:
        """Share of the strongest frequency in all power."""
        return float(self.power.max() / self.power.sum())

    @property
    def top(self) -> list[int]:
        """The five strongest frequencies, strongest first."""
        return [int(w) for w in np.argsort(-self.power, kind="stable")[:_TOP] + 1]


def logits_of(model: ModularTransformer, task: ModularTask) -> np.ndarray:
    """Logits (N, p) of the task's own head on all its pairs."""
    a, b = torch.from_numpy(task.pairs).T
    with torch.no_grad():
        outputs = model(a, b)
    logits = outputs[task.name] if isinstance(outputs, dict) else outputs
    assert isinstance(logits, torch.Tensor)
    return logits.numpy()


def logit_frequencies(logits: np.ndarray, task: ModularTask, permutations: int, seed: int) -> FrequencyUse:
    """Read the frequencies of one head: power of L(t) = mean over (a, b) of the logit at distance t from the answer.

    A head that computes c = q(a, b) as sum_w A_w cos(2 pi w (q(a, b) - c)/M) has power A_w^2 at w, up to one factor.
    Distances are differences mod p; for multiplication, of discrete logs mod p - 1 (0, never an answer, has none).
    Source: ours, after the circuits of 2301.05217.

    Args:
        logits: (N, p) of this task's head, in the order of its pairs.
        task: gives the answers.
        permutations: of the M values of L, the null of the concentration.
        seed: of the permutations.

    Cost: N M look-ups, and ``permutations`` spectra of length M.
    """
    columns, answers, grouping = np.arange(task.p), task.labels, f"output:{task.name}"
    if task.name == "mul":
        logarithm = discrete_log_table(task.p)
        columns, answers = np.argsort(logarithm)[1:], logarithm[task.labels]
        grouping = "output_discrete_log:mul"
    order = len(columns)
    answered = answers >= 0
    at_distance = columns[(answers[answered, None] + np.arange(order)) % order]
    by_distance = np.take_along_axis(logits[answered].astype(np.float64), at_distance, axis=1).mean(axis=0)
    profile = fourier_profile(by_distance, np.arange(order), order)
    names = np.random.default_rng(seed).permuted(np.tile(np.arange(order), (permutations, 1)), axis=1)
    return FrequencyUse(grouping, profile.power[0], profile.renamed(names).concentration)


def embedding_frequencies(
    embedding: np.ndarray, task: ModularTask, grouping: str, permutations: int, seed: int
) -> FrequencyUse:
    """Read the frequencies of the token embedding: power over tokens, summed over the d coordinates.

    Tokens are taken in the order of residues (``"sum"``: what addition uses) or of discrete logs (``"discrete_log"``:
    what multiplication uses). Tokens that the task never shows are left out. Source: 2301.05217.

    Args:
        embedding: (p, d).
        task: gives the tokens in use.
        grouping: ``"sum"`` or ``"discrete_log"``.
        permutations: of the tokens, the null of the concentration.
        seed: of the permutations.

    Cost: ``permutations`` times d spectra of length p.
    """
    used = np.isin(np.arange(task.p), task.pairs)
    positions = discrete_log_table(task.p) if grouping == "discrete_log" else np.arange(task.p)
    order = task.p - 1 if grouping == "discrete_log" else task.p
    labels = np.where(used, positions, -1)

    def power(of: np.ndarray) -> np.ndarray:
        return fourier_profile(embedding.T, of, order).power.sum(axis=0)

    rng = np.random.default_rng(seed)
    shuffled = labels.copy()
    shown = labels >= 0
    permuted = np.empty(permutations)
    for i in range(permutations):
        shuffled[shown] = rng.permutation(labels[shown])
        found = power(shuffled)
        permuted[i] = found.max() / found.sum()
    return FrequencyUse(grouping, power(labels), permuted)
