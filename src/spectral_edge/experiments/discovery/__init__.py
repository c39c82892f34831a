"""Basis discovery on trained runs: which sources show the basis, when, and how often it is right."""

from spectral_edge.experiments.discovery.evidence import gather_evidence
from spectral_edge.experiments.discovery.measurement import analysis_step, discover_run, discover_source
from spectral_edge.experiments.discovery.picture import Picture, discover_at
from spectral_edge.experiments.discovery.sources import functions_of
from spectral_edge.experiments.discovery.summary import curve_of, seven_points, stop_rows
from spectral_edge.experiments.point import Point

__all__ = [
    "Picture",
    "Point",
    "analysis_step",
    "curve_of",
    "discover_at",
    "discover_run",
    "discover_source",
    "functions_of",
    "gather_evidence",
    "seven_points",
    "stop_rows",
]
