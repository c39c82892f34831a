"""Find the few directions a network trains along, read them as functions of the input, test whether they are special.

>>> import torch, spectral_edge as se
>>> edge = se.spectral_edge(torch.randn(20, 1000, generator=torch.Generator().manual_seed(0)))
>>> edge.directions(3).shape
torch.Size([3, 1000])
"""

from spectral_edge.bases import (
    CharacterSpectrum,
    Grouping,
    Operation,
    character_spectrum,
    grouping,
    operation,
    register_operation,
    to_grid,
)
from spectral_edge.discovery import DiscoveredBasis, discover_basis
from spectral_edge.grokking import (
    Evaluation,
    ModularTask,
    ModularTransformer,
    Split,
    Training,
    TrainingConfig,
    train_together,
)
from spectral_edge.modes import FunctionalModes, discrepancy, functional_modes, iterate_responses
from spectral_edge.parameters import ParameterSubset, attention_weights, select_parameters
from spectral_edge.recording import LiveValues, Recorder, Recording, RecordingStoppedError, watch
from spectral_edge.representation import effective_rank, head_purity, principal_scores
from spectral_edge.spectrum import SpectralEdge, UpdateWindow, spectral_edge, stacked_updates
from spectral_edge.statistics import (
    FourierProfile,
    NullDistribution,
    expected_concentration,
    fourier_profile,
    random_directions,
)

__all__ = [
    "CharacterSpectrum",
    "DiscoveredBasis",
    "Evaluation",
    "FourierProfile",
    "FunctionalModes",
    "Grouping",
    "LiveValues",
    "ModularTask",
    "ModularTransformer",
    "NullDistribution",
    "Operation",
    "ParameterSubset",
    "Recorder",
    "Recording",
    "RecordingStoppedError",
    "SpectralEdge",
    "Split",
    "Training",
    "TrainingConfig",
    "UpdateWindow",
    "attention_weights",
    "character_spectrum",
    "discover_basis",
    "discrepancy",
    "effective_rank",
    "expected_concentration",
    "fourier_profile",
    "functional_modes",
    "grouping",
    "head_purity",
    "iterate_responses",
    "operation",
    "principal_scores",
    "random_directions",
    "register_operation",
    "select_parameters",
    "spectral_edge",
    "stacked_updates",
    "to_grid",
    "train_together",
    "watch",
]
