"""The spectrum of recent updates: Gram matrix, singular values, gaps, edge position and directions."""

from spectral_edge.spectrum.edge import SpectralEdge, gram_matrix, spectral_edge
from spectral_edge.spectrum.window import UpdateWindow, stacked_updates

__all__ = ["SpectralEdge", "UpdateWindow", "gram_matrix", "spectral_edge", "stacked_updates"]
