"""Functions of two tokens that a run offers: responses to directions, activations, and what should show nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from spectral_edge.modes import functional_modes
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.statistics import random_directions
from spectral_edge.store import DiscoverySource
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Functions", "functions_of", "pairs_of"]

_EMBEDDING_COMPONENTS = 32
_MANY = 96
_RANDOM = ("random", "random_one", "untrained", "energy_many")


@dataclass(frozen=True, eq=False)
class Functions:
    """What discovery reads: (k, N, c) functions on (N, 2) pairs of tokens 0 … n-1, and where they came from."""

    values: np.ndarray
    pairs: np.ndarray
    tokens: np.ndarray
    directions: int | None = None
    window: int | None = None

    def on(self, chosen: np.ndarray) -> Functions:
        """The same functions on some of the pairs."""
        return replace(self, values=self.values[:, chosen], pairs=self.pairs[chosen])


def functions_of(run: TrainedRun, step: int, source: DiscoverySource, config: AnalysisConfig) -> Functions:
    """The functions of one source at one step.

    Args:
        run: the run.
        step: optimizer steps; a snapshot.
        source: which functions.
        config: window, stride, centring and number of edge directions, seed of random ones. Before the first full
            window the window is as long as there are updates.

    Raises:
        StoreError: there is no snapshot of this step.
        ValueError: it is too early for three updates.
    """
    pairs, tokens = pairs_of(run)
    model, parameters = run.model_at(0 if source == "untrained" else step)
    if source in ("residual", "logits"):
        values = _activations(model, run.task.pairs, source)
        return Functions(values[None], pairs, tokens)
    if source == "embedding":
        weights = model.tok_emb.weight.detach().double().numpy()[tokens]
        return Functions(_products(weights, pairs), pairs, tokens)
    window = min(config.window, step // config.stride)
    # As many random directions as there are edge directions: a window of W centred updates has W - 1.
    count = {"energy_many": _MANY, "v1": 1, "random_one": 1, "untrained": config.directions}.get(
        source, min(config.directions, window - 1)
    )
    if source in _RANDOM:
        directions = random_directions(count, parameters.dim, config.seed)
    else:
        edge = run.edge(step, window, config.stride, config.centered)
        directions = edge.directions(min(count, edge.rank))
    modes = functional_modes(model, directions, run.task.pairs, parameters=parameters)
    energy = source.startswith("energy")
    values = (modes.energy[..., None] if energy else modes.response).numpy()
    used = None if source in _RANDOM else window
    found = Functions(values, pairs, tokens, len(directions), used)
    if source == "energy_off_diagonal":
        return found.on(np.flatnonzero(pairs[:, 0] != pairs[:, 1]))
    if source == "shuffled":
        order = np.random.default_rng(config.seed).permutation(len(pairs))
        return replace(found, values=values[:, order])
    return found


def pairs_of(run: TrainedRun) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the task by the positions of their tokens among those in use, and these tokens."""
    tokens, positions = np.unique(run.task.pairs, return_inverse=True)
    return positions.reshape(-1, 2), tokens


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
