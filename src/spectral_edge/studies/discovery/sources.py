"""Functions of two tokens that a run offers: responses to directions, activations, and what should show nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spectral_edge.modes import functional_modes
from spectral_edge.statistics import random_directions
from spectral_edge.store import DiscoverySource
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.trained_run import TrainedRun

__all__ = ["Functions", "functions_of"]

_EMBEDDING_COMPONENTS = 32
_MANY = 96
_RANDOM = ("random", "untrained", "energy_many")


@dataclass(frozen=True, eq=False)
class Functions:
    """What discovery reads: (k, N, c) functions on (N, 2) pairs of tokens 0 … n-1, and where they came from."""

    values: np.ndarray
    pairs: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    directions: int | None = None
    window: int | None = None

    def on(self, chosen: np.ndarray) -> Functions:
        """The same functions on some of the pairs."""
        return Functions(
            self.values[:, chosen], self.pairs[chosen], self.labels[chosen], self.tokens, self.directions, self.window
        )


def functions_of(run: TrainedRun, step: int, source: DiscoverySource, config: AnalysisConfig) -> Functions:
    """The functions of one source at one step.

    Args:
        run: the run; of several operations the first one's labels are taken.
        step: optimizer steps; a snapshot.
        source: which functions.
        config: window, stride, centring and number of edge directions, seed of random ones. Before the first full
            window the window is as long as there are updates.
    """
    pairs, labels, tokens = _inputs(run)
    model, parameters = run.model_at(0 if source == "untrained" else step)
    if source in ("residual", "logits"):
        values = _activations(model, run.task.pairs, source)
        return Functions(values[None], pairs, labels, tokens)
    if source == "embedding":
        return Functions(
            _products(model.tok_emb.weight.detach().double().numpy()[tokens], pairs), pairs, labels, tokens
        )
    window = min(config.window, step // config.stride)
    if source in _RANDOM:
        count = _MANY if source == "energy_many" else config.directions
        directions = random_directions(count, parameters.dim, config.seed)
    else:
        edge = run.edge_at(step, window, config.stride, config.centered)
        directions = edge.directions(1 if source == "v1" else min(config.directions, edge.rank, window - 1))
    modes = functional_modes(model, directions, run.task.pairs, parameters=parameters)
    energy = source.startswith("energy")
    values = (modes.energy[..., None] if energy else modes.response).numpy()
    used = None if source in _RANDOM else window
    found = Functions(values, pairs, labels, tokens, len(directions), used)
    if source == "energy_off_diagonal":
        return found.on(np.flatnonzero(pairs[:, 0] != pairs[:, 1]))
    if source == "shuffled":
        order = np.random.default_rng(config.seed).permutation(len(pairs))
        return Functions(values[:, order], pairs, labels, tokens, len(directions), used)
    return found


def _inputs(run: TrainedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs by the positions of their tokens among those in use, the labels, and these tokens."""
    tokens, positions = np.unique(run.task.pairs, return_inverse=True)
    return positions.reshape(-1, 2), run.task.labels, tokens


def _activations(model: torch.nn.Module, pairs: np.ndarray, source: str) -> np.ndarray:
    a, b = torch.from_numpy(pairs).T
    with torch.no_grad():
        logits, residual = model(a, b, return_residual=True)
    if isinstance(logits, dict):
        logits = next(iter(logits.values()))
    return np.asarray((residual if source == "residual" else logits).double().numpy())


def _products(embedding: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """w_c(a) w_c(b) for each principal component w_c over tokens: the kernel of these has the same axes."""
    left, sizes, _ = np.linalg.svd(embedding - embedding.mean(axis=0), full_matrices=False)
    components = (left * sizes)[:, :_EMBEDDING_COMPONENTS]
    return np.asarray((components[pairs[:, 0]] * components[pairs[:, 1]])[None])
