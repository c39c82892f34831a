"""What do edges of a language model explain, and can what is planted be read from them?"""

from spectral_edge.experiments.language.measurement import ARMS, LanguageConfig, measure_seed
from spectral_edge.experiments.language.points import language_points
from spectral_edge.experiments.language.summary import (
    SEEDS,
    explained_summary,
    gather_language,
    language_answers,
    plant_summary,
    reading_summary,
)

__all__ = [
    "ARMS",
    "SEEDS",
    "LanguageConfig",
    "explained_summary",
    "gather_language",
    "language_answers",
    "language_points",
    "measure_seed",
    "plant_summary",
    "reading_summary",
]
