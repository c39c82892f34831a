"""Every study: what answers which claims."""

from __future__ import annotations

from collections.abc import Iterable

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.autoencoder import AUTOENCODER
from spectral_edge.replication.co_usage import CO_USAGE
from spectral_edge.replication.modes import MODES
from spectral_edge.replication.pictures import PICTURES
from spectral_edge.replication.probes import PROBES
from spectral_edge.replication.shared_trunk import SHARED_TRUNK
from spectral_edge.replication.spectra import SPECTRA
from spectral_edge.replication.study import AnalysisConfig, Study
from spectral_edge.replication.training_curves import TRAINING_CURVES

__all__ = ["FIGURE_STUDIES", "MODE_CLAIMS", "STUDIES", "claims_in_order", "studies_for"]

STUDIES: tuple[Study, ...] = (
    TRAINING_CURVES,
    PICTURES,
    SPECTRA,
    MODES,
    PROBES,
    AUTOENCODER,
    CO_USAGE,
    SHARED_TRUNK,
)
FIGURE_STUDIES = tuple(study for study in STUDIES if not study.claims)
"""Those that measure nothing of a claim: figures are drawn from them."""
MODE_CLAIMS = MODES.claims
"""What the analysis of one run is about unless told otherwise: the claims about functional modes."""


def claims_in_order(claims: Iterable[str]) -> tuple[str, ...]:
    """Each claim once, C1 first."""
    return tuple(sorted(set(claims), key=lambda claim: int(claim[1:])))


def studies_for(claims: Iterable[str], training: TrainingConfig, config: AnalysisConfig) -> list[Study]:
    """The studies that speak of any of these claims, or only feed figures, and have business with this run."""
    wanted = set(claims)
    return [
        study
        for study in STUDIES
        if (not study.claims or wanted & set(study.claims))
        and (study.brief or config.phases == "all")
        and study.applies(training)
    ]
