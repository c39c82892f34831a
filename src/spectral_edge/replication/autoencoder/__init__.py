"""Features of a sparse autoencoder that edge directions move: C5."""

from spectral_edge.replication.autoencoder.study import AUTOENCODER, export_autoencoder, has_autoencoder

__all__ = ["AUTOENCODER", "export_autoencoder", "has_autoencoder"]
