"""What the usual instruments see: heads, activations and probes."""

from spectral_edge.representation.activations import effective_rank, principal_scores
from spectral_edge.representation.heads import head_purity
from spectral_edge.representation.probes import RidgeProbe, cross_term_features

__all__ = ["RidgeProbe", "cross_term_features", "effective_rank", "head_purity", "principal_scores"]
