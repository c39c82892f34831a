"""Basis discovery on trained runs: which sources show the basis, when, and how often it is right."""

from spectral_edge.studies.discovery.evidence import gather_evidence
from spectral_edge.studies.discovery.measurement import analysis_step, discover_run, discover_source
from spectral_edge.studies.discovery.sources import functions_of

__all__ = ["analysis_step", "discover_run", "discover_source", "functions_of", "gather_evidence"]
