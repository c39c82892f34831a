"""Decide the paper: many seeds, matched nulls, a protocol that was fixed first, three answers a claim."""

from spectral_edge.replication.decision.arms import ARMS, Arm, runs_of
from spectral_edge.replication.decision.protocol import PROTOCOL, Protocol, Question

__all__ = ["ARMS", "PROTOCOL", "Arm", "Protocol", "Question", "runs_of"]
