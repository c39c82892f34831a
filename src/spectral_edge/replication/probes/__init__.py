"""Linear probes of activations and of responses: C10, and C4 beside it."""

from spectral_edge.replication.probes.study import PROBES

__all__ = ["PROBES"]
