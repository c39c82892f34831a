"""What interventions are made, on which runs, and what each answer takes; fixed before the first of these runs.

The page docs/causes.md says the same in words, with the reasons. A table carries :attr:`CausesProtocol.digest`.
"""

from __future__ import annotations

import math
from typing import Literal

from spectral_edge.replication.decision.arms import FRESH_SEEDS
from spectral_edge.replication.decision.tables import TableProtocol
from spectral_edge.subjects.profiles import GROKKING

__all__ = ["PROTOCOL", "TRAINING_ARMS", "CausesProtocol", "TrainingArm"]

TrainingArm = Literal["edge", "edge3", "across", "theta", "span", "span_across", "rest"]
TRAINING_ARMS: tuple[TrainingArm, ...] = ("edge", "edge3", "across", "theta", "span", "span_across", "rest")
"""What is taken out of every update: v1; v1 … v3; v1 without θ; θ; three random directions of the span; these without
θ; v2 … v9."""


class CausesProtocol(TableProtocol):
    """Runs, interventions and margins."""

    version: int = 1
    operations: tuple[str, ...] = GROKKING
    seeds: tuple[int, ...] = FRESH_SEEDS
    """Of what is measured at the stop."""
    trained_seeds: tuple[int, ...] = FRESH_SEEDS[:8]
    """Of the training arms, of curvature and of the metric."""
    stride: int = 100
    window: int = 20
    draws: int = 20
    strengths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """Of the removal of the edge."""
    steering: float = 0.05
    """Length of a step along v1, over that of the weights."""
    small_step: float = 0.2
    """A second length, over the first."""
    own_power: float = 0.9
    """The model's own frequencies are the fewest that have this share of the power of its logits."""
    bending_draws: int = 10
    """Of each null of a curvature, which costs three gradients."""
    inputs: int = 1024
    """Training pairs on which a loss bends."""
    arm_window: int = 10
    arm_stride: int = 25
    patience: float = 2.0
    """An arm ends at this multiple of the stop of the run that it changes."""
    loss_margin: float = math.log(2)
    steering_margin: float = math.log(2)
    curvature_margin: float = math.log(2)
    delay_margin: float = math.log(1.25)
    metric_bound: float = 0.1
    least_drift: float = 0.5
    """A control that took out less than this share of an arm's drift cannot make a yes."""


PROTOCOL = CausesProtocol()
"""The protocol in force."""
