"""Language models: what directions do to next-token predictions, and what of a change they explain."""

from spectral_edge.language.batch import token_log_probabilities
from spectral_edge.language.explained import ExplainedChange, explained_change
from spectral_edge.language.tokens import TokenModes, token_modes

__all__ = ["ExplainedChange", "TokenModes", "explained_change", "token_log_probabilities", "token_modes"]
