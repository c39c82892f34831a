"""One answer of an experiment's protocol: yes, no or undecided, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.replication.decision.rules import ThreeWay, decide

__all__ = ["ExperimentAnswer", "beyond_all"]


@dataclass(frozen=True)
class ExperimentAnswer:
    """One answer.

    Attributes:
        question: which.
        answer: by its rule.
        effect, low, high: mean over seeds and its 90 % interval, of what the rule compares; ``None`` for counts.
        n: seeds.
        because: the numbers in words.
        over: the competitor from which the effect is taken; ``None`` if there is none.
    """

    question: str
    answer: ThreeWay
    effect: float | None
    low: float | None
    high: float | None
    n: int
    because: str
    over: str | None = None


def beyond_all(question: str, excess: Mapping[str, NDArray[np.float64]], margin: float) -> ExperimentAnswer:
    """Decide from the smallest mean excess, by the rule of the paper's claims.

    Undecided where other seeds would often disagree.

    Args:
        question: which.
        excess: of each competitor, one number a seed.
        margin: that the mean excess has to reach.

    Raises:
        ValueError: as :func:`~spectral_edge.replication.decision.rules.decide`.
    """
    found = decide(np.stack(list(excess.values())), margin, PROTOCOL)
    over = list(excess)[found.strongest]
    because = f"over {over}, margin {margin:g}"
    return ExperimentAnswer(question, found.answer, found.effect, found.low, found.high, found.n, because, over)
