"""The spectrum of recent updates, of displacements and of weights: singular values, gaps, edge position, directions."""

from spectral_edge.spectrum.displacement import (
    DisplacementPCA,
    displacement_gram,
    displacement_pca,
    rolling_singular_values,
    update_gram,
)
from spectral_edge.spectrum.edge import SpectralEdge, edge_from_gram, spectral_edge
from spectral_edge.spectrum.gram import gram_matrix, singular_values_of
from spectral_edge.spectrum.inner_products import InnerProducts
from spectral_edge.spectrum.low_rank import Factors, LowRankUpdates, inner_product
from spectral_edge.spectrum.rows import Rows
from spectral_edge.spectrum.sketch import CountSketch, noise_floor
from spectral_edge.spectrum.update_parts import gradient_share
from spectral_edge.spectrum.weights import attention_matrices, random_gap_ratios, weight_singular_values
from spectral_edge.spectrum.window import UpdateWindow, stacked_updates

__all__ = [
    "CountSketch",
    "DisplacementPCA",
    "Factors",
    "InnerProducts",
    "LowRankUpdates",
    "Rows",
    "SpectralEdge",
    "UpdateWindow",
    "attention_matrices",
    "displacement_gram",
    "displacement_pca",
    "edge_from_gram",
    "gradient_share",
    "gram_matrix",
    "inner_product",
    "noise_floor",
    "random_gap_ratios",
    "rolling_singular_values",
    "singular_values_of",
    "spectral_edge",
    "stacked_updates",
    "update_gram",
    "weight_singular_values",
]
