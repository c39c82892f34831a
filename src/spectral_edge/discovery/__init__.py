"""Discover the basis: read the symmetry of an unknown task from functions of its two tokens. Arrays only."""

from spectral_edge.discovery.basis import DiscoveredBasis, discover_basis
from spectral_edge.discovery.candidates import Candidate
from spectral_edge.discovery.circles import Circles, Scree
from spectral_edge.discovery.groups import GroupLaw, agreement, group_law
from spectral_edge.discovery.interactions import Interactions, interactions_of
from spectral_edge.discovery.laws import LEVEL, Law

__all__ = [
    "LEVEL",
    "Candidate",
    "Circles",
    "DiscoveredBasis",
    "GroupLaw",
    "Interactions",
    "Law",
    "Scree",
    "agreement",
    "discover_basis",
    "group_law",
    "interactions_of",
]
