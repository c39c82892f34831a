"""Which inputs and which tasks use the edge: C12."""

from spectral_edge.replication.co_usage.study import CO_USAGE

__all__ = ["CO_USAGE"]
