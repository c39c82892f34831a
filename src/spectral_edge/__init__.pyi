# The public names and where they live: read at import, so that a room is loaded when one of its names is first used.
from . import (
    bases,
    discovery,
    grokking,
    modes,
    parameters,
    recording,
    report,
    representation,
    spectrum,
    statistics,
    store,
    studies,
)
from .bases import (
    CharacterSpectrum,
    Grouping,
    Operation,
    character_spectrum,
    grouping,
    operation,
    register_operation,
    to_grid,
)
from .discovery import DiscoveredBasis, discover_basis
from .grokking import (
    Evaluation,
    ModularTask,
    ModularTransformer,
    Split,
    Training,
    TrainingConfig,
    train_together,
)
from .modes import FunctionalModes, discrepancy, functional_modes, iterate_responses
from .parameters import ParameterSubset, attention_weights, select_parameters
from .recording import LiveValues, Recorder, Recording, RecordingStoppedError, watch
from .representation import effective_rank, head_purity, principal_scores
from .spectrum import SpectralEdge, UpdateWindow, spectral_edge, stacked_updates
from .statistics import (
    FourierProfile,
    NullDistribution,
    expected_concentration,
    fourier_profile,
    random_directions,
)
from .studies import SweepTable, sweep_table

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
    "SweepTable",
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
    "sweep_table",
    "to_grid",
    "train_together",
    "watch",
]
