"""Is a direction special, or would any do it? Statistics of directions against matched nulls, on any model."""

from spectral_edge.comparison.characters import CharacterShare
from spectral_edge.comparison.compare import compare
from spectral_edge.comparison.covariates import Covariates
from spectral_edge.comparison.documents import Documents
from spectral_edge.comparison.draws import iterate_random_directions
from spectral_edge.comparison.evaluate import evaluate
from spectral_edge.comparison.fourier import Concentration, CyclicStatistic, Peakedness, VarianceShare
from spectral_edge.comparison.nulls import Blocks, DirectionNull, Isotropic, OtherPhases, Span, Weights
from spectral_edge.comparison.over_runs import OverRuns, over_runs
from spectral_edge.comparison.result import Comparison, NullRow, load_comparison
from spectral_edge.comparison.shape import EffectiveRank
from spectral_edge.comparison.similarity import ComponentShare, Similarity
from spectral_edge.comparison.space import CannotDrawError, DirectionSpace, RandomStream
from spectral_edge.comparison.statistic import Statistic, of_direction, of_set

__all__ = [  # noqa: RUF022 - a table of contents, in the order of reading
    "compare",
    "Comparison",
    "NullRow",
    "load_comparison",
    "evaluate",
    # over independent runs
    "over_runs",
    "OverRuns",
    # statistics
    "Statistic",
    "Concentration",
    "VarianceShare",
    "Peakedness",
    "CharacterShare",
    "EffectiveRank",
    "ComponentShare",
    "Covariates",
    "Documents",
    "Similarity",
    "CyclicStatistic",
    "of_direction",
    "of_set",
    # nulls
    "DirectionNull",
    "Isotropic",
    "Span",
    "Weights",
    "Blocks",
    "OtherPhases",
    "iterate_random_directions",
    # to write a null
    "DirectionSpace",
    "RandomStream",
    "CannotDrawError",
]
