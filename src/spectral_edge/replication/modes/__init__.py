"""Functional modes of the edge and their nulls: C3, C4, C6 to C9, C13, C14, and how far they hang on the settings."""

from spectral_edge.replication.modes.quantities import Peak
from spectral_edge.replication.modes.study import MODES

__all__ = ["MODES", "Peak"]
