"""The residual stream of a model, a sparse autoencoder of it, and figures by which to judge that autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.representation import (
    AutoencoderTraining,
    SparseAutoencoder,
    dead_share,
    explained_variance,
    mean_l0,
    train_sparse_autoencoder,
)

__all__ = ["AutoencodedStream", "Quality"]

_TRAINED_ON = 0.9
# Of the published model: 512 features, 32 active, for a width of 128.
_EXPANSION, _WIDTH_PER_ACTIVE = 4, 4
_RIDGE = 1e-6  # of the mean square of the features: dead ones make their covariance singular


@dataclass(frozen=True)
class Quality:
    """How well features stand for activations.

    Attributes:
        explained_training: variance explained on the inputs that the autoencoder was trained on.
        explained_left_out: on those left out.
        dead: share of features active on no input.
        l0: mean number active an input.
        accuracy: of the model on its held-out pairs, with the reconstruction in place of the residual stream.
    """

    explained_training: float
    explained_left_out: float
    dead: float
    l0: float
    accuracy: float


class AutoencodedStream:
    """The stream at position 0 after the last block, on all pairs, and a TopK autoencoder of it.

    The autoencoder is trained on a random nine tenths of the pairs, whether or not the model was.

    Args:
        model: at the step analysed.
        task: its only task.
        held_out: indices of the pairs that the model was not trained on.
        seed: of the nine tenths and of the training.

    Cost: a forward pass, and a training of about 20 s on one thread.
    """

    def __init__(self, model: ModularTransformer, task: ModularTask, held_out: np.ndarray, seed: int) -> None:
        self._held_out = torch.from_numpy(held_out)
        self._logits = nn.Sequential(model.ln, model.head_of(task.name))
        self._stream = model.residual(torch.from_numpy(task.pairs))
        self._labels = torch.from_numpy(task.labels)
        order = torch.randperm(len(task.pairs), generator=torch.Generator().manual_seed(seed))
        n_training = int(_TRAINED_ON * len(task.pairs))
        self._training, self._left_out = order[:n_training], order[n_training:]
        width = self._stream.shape[1]
        self._size = AutoencoderTraining(_EXPANSION * width, max(1, width // _WIDTH_PER_ACTIVE), seed=seed)
        self.autoencoder = train_sparse_autoencoder(self._stream[self._training], self._size)

    def quality(self) -> Quality:
        """Figures of the trained autoencoder."""
        z = self.autoencoder.encode(self._stream)
        return self._judged(z, self.autoencoder.decode(z))

    def untrained(self, seed: int) -> SparseAutoencoder:
        """One of the same size with random features, centred at the mean of the stream."""
        size = self._size
        autoencoder = SparseAutoencoder(self._stream.shape[1], size.d_sae, size.k, seed).requires_grad_(False)
        autoencoder.b_dec.copy_(self._stream[self._training].mean(0))
        return autoencoder

    def untrained_quality(self, autoencoder: SparseAutoencoder) -> Quality:
        """Figures of random features, decoded by least squares: what 32 of 512 features give without being learned."""
        z = autoencoder.encode(self._stream).double()
        x = self._stream.double()
        means = z[self._training].mean(0), x[self._training].mean(0)
        features, target = z[self._training] - means[0], x[self._training] - means[1]
        gram = features.T @ features
        gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
        decoder = torch.linalg.solve(gram, features.T @ target)
        return self._judged(z, (z - means[0]) @ decoder + means[1])

    def principal_components(self) -> float:
        """Variance that the first k principal components explain on the inputs left out, k the active features."""
        x, left_out = self._stream[self._training].double(), self._stream[self._left_out].double()
        mean = x.mean(0)
        components = torch.linalg.eigh((x - mean).T @ (x - mean)).eigenvectors[:, -self._size.k :]
        return explained_variance(left_out, (left_out - mean) @ components @ components.T + mean)

    def model_accuracy(self) -> float:
        """Accuracy of the model itself on its held-out pairs."""
        return self._accuracy(self._stream)

    def _judged(self, z: Tensor, reconstruction: Tensor) -> Quality:
        training, left_out = (
            explained_variance(self._stream[i], reconstruction[i]) for i in (self._training, self._left_out)
        )
        return Quality(training, left_out, dead_share(z), mean_l0(z), self._accuracy(reconstruction.float()))

    @torch.no_grad()
    def _accuracy(self, stream: Tensor) -> float:
        return float((self._logits(stream[self._held_out]).argmax(1) == self._labels[self._held_out]).double().mean())
