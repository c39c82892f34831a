"""What is asked of each claim, against what, and when the answer is yes; fixed before the first of these runs.

The page docs/protocol.md says the same in words, with the reasons. A table of results carries :attr:`Protocol.digest`,
so that results of two protocols are never put together.
"""

from __future__ import annotations

from spectral_edge.replication.claims import QUESTIONS
from spectral_edge.replication.claims.question import Question
from spectral_edge.replication.decision.tables import TableProtocol

__all__ = ["PROTOCOL", "Protocol", "Question"]


class Protocol(TableProtocol):
    """All questions and the rules of an answer."""

    version: int
    stride: int = 100
    window: int = 20
    centered: bool = True
    draws: int = 60
    permutations: int = 200
    interval: float = 0.90
    """Of the mean excess over seeds, Student's t."""
    prediction: float = 0.95
    """Of one more copy."""
    fewest: int = 5
    """Seeds below which an answer is undecided."""
    resamples: int = 2000
    """Bootstrap samples of seeds, and random halves."""
    repeats: float = 0.80
    """Probability of the same answer from as many other seeds below which it is undecided."""
    contradicts: float = 0.02
    """Share of pairs of random halves, one yes and one no, above which it is undecided."""
    questions: tuple[Question, ...]


PROTOCOL = Protocol(version=1, questions=QUESTIONS)
"""The protocol in force."""
