"""What does the edge cause? Remove it, step along it, train without it, beside controls of the same size."""

from spectral_edge.experiments.causes.answers import answer_rows, arms_of, causes_answers, delays_table, loss_ratios
from spectral_edge.experiments.causes.at_stop import UNMATCHED
from spectral_edge.experiments.causes.evidence import KINDS, gather_causes, measure_run
from spectral_edge.experiments.causes.points import causes_points
from spectral_edge.experiments.causes.protocol import PROTOCOL, TRAINING_ARMS, CausesProtocol

__all__ = [
    "KINDS",
    "PROTOCOL",
    "TRAINING_ARMS",
    "UNMATCHED",
    "CausesProtocol",
    "answer_rows",
    "arms_of",
    "causes_answers",
    "causes_points",
    "delays_table",
    "gather_causes",
    "loss_ratios",
    "measure_run",
]
