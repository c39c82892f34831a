"""What the usual instruments see: heads, activations, probes, sparse autoencoders, losses."""

from spectral_edge.representation.activations import effective_rank, principal_scores, response_shape
from spectral_edge.representation.co_usage import co_usage, half_mass_share, loss_derivatives, loss_gradient, sharedness
from spectral_edge.representation.heads import head_purity
from spectral_edge.representation.probes import (
    RidgeFit,
    RidgeProbe,
    cross_term_features,
    cross_term_sets,
    fourier_features,
    mirror_folds,
)
from spectral_edge.representation.sparse_autoencoder import (
    AutoencoderTraining,
    SparseAutoencoder,
    dead_share,
    explained_variance,
    feature_effects,
    mean_l0,
    train_sparse_autoencoder,
)

__all__ = [
    "AutoencoderTraining",
    "RidgeFit",
    "RidgeProbe",
    "SparseAutoencoder",
    "co_usage",
    "cross_term_features",
    "cross_term_sets",
    "dead_share",
    "effective_rank",
    "explained_variance",
    "feature_effects",
    "fourier_features",
    "half_mass_share",
    "head_purity",
    "loss_derivatives",
    "loss_gradient",
    "mean_l0",
    "mirror_folds",
    "principal_scores",
    "response_shape",
    "sharedness",
    "train_sparse_autoencoder",
]
