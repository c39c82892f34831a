"""Several operations on one trunk, and what x2_y2 takes over from addition: C11."""

from spectral_edge.replication.shared_trunk.study import SHARED_TRUNK

__all__ = ["SHARED_TRUNK"]
