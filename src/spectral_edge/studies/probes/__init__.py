"""Linear probes of activations and of responses: C10, and C4 beside it."""

from spectral_edge.studies.probes.study import PROBES, RULES

__all__ = ["PROBES", "RULES"]
