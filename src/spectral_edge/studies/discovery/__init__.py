"""Basis discovery on trained runs: which sources show the basis, when, and how often it is right."""

from spectral_edge.studies.discovery.evidence import gather_evidence
from spectral_edge.studies.discovery.measurement import analysis_step, discover_run, discover_source
from spectral_edge.studies.discovery.picture import Picture, discover_at
from spectral_edge.studies.discovery.sources import functions_of
from spectral_edge.studies.discovery.summary import curve_of, seven_points, stop_rows
from spectral_edge.studies.point import Point

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
