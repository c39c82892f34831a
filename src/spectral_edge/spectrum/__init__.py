"""The spectrum of recent updates, of displacements and of weights: singular values, gaps, edge position, directions."""

from spectral_edge.spectrum.displacement import (
    DisplacementPCA,
    displacement_gram,
    displacement_pca,
    rolling_singular_values,
    update_gram,
)
from spectral_edge.spectrum.edge import SpectralEdge, gram_matrix, spectral_edge
from spectral_edge.spectrum.weights import attention_matrices, random_gap_ratios, weight_singular_values
from spectral_edge.spectrum.window import UpdateWindow, stacked_updates

__all__ = [
    "DisplacementPCA",
    "SpectralEdge",
    "UpdateWindow",
    "attention_matrices",
    "displacement_gram",
    "displacement_pca",
    "gram_matrix",
    "random_gap_ratios",
    "rolling_singular_values",
    "spectral_edge",
    "stacked_updates",
    "update_gram",
    "weight_singular_values",
]
