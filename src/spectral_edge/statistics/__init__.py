"""Statistics of a functional mode and the nulls they are held against.

Takes arrays of values and labels; knows nothing of models or of what the labels mean.
"""

from spectral_edge.statistics.concentration import FourierProfile, expected_concentration, fourier_profile
from spectral_edge.statistics.nulls import (
    NullDistribution,
    PermutedProfiles,
    adjust,
    permuted_profiles,
    random_directions,
    rarity_pvalue,
)

__all__ = [  # noqa: RUF022 - a table of contents, in the order of reading
    # the statistic
    "FourierProfile",
    "fourier_profile",
    "expected_concentration",
    # what chance gives
    "random_directions",
    "permuted_profiles",
    "PermutedProfiles",
    # from draws to p-values
    "NullDistribution",
    "rarity_pvalue",
    "adjust",
]
