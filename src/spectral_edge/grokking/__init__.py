"""Modular arithmetic, the transformer that learns it, and its training: one user of the library."""

from spectral_edge.grokking.tasks import ModularTask, Split
from spectral_edge.grokking.training import Evaluation, Training, TrainingConfig, check_alike, train_together
from spectral_edge.grokking.transformer import ModularTransformer

__all__ = [
    "Evaluation",
    "ModularTask",
    "ModularTransformer",
    "Split",
    "Training",
    "TrainingConfig",
    "check_alike",
    "train_together",
]
