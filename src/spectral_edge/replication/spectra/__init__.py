"""Spectra of updates, displacements and weights over training: C1 and C2."""

from spectral_edge.replication.spectra.study import SPECTRA

__all__ = ["SPECTRA"]
