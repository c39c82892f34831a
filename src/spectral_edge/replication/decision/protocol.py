"""What is asked of each claim, against what, and when the answer is yes; fixed before the first of these runs.

The page docs/protocol.md says the same in words, with the reasons. A table of results carries :attr:`Protocol.digest`,
so that results of two protocols are never put together.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

from spectral_edge.store import Checkpoint, Inputs

__all__ = ["PROTOCOL", "Protocol", "Question"]

Direction = Literal["edge", "v1", "mean(v1..v3)", "pairs(v1..v3)", "mean(v1..v3)-mean(v4..v8)", "run"]


class _Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Fixed):
    """The primary number of a claim in one task, and what it is held against.

    Its *excess* over a null is measured - null mean, or the reverse where the claim is that of a small number.
    """

    claim: str
    """C1 … C14."""
    task: str
    """The operation, or "all" for contrasts of runs."""
    statistic: str
    """What is measured; docs/definitions.md has the formulas."""
    grouping: str | None = None
    """The basis."""
    inputs: Inputs = "test_off_diagonal"
    """Where the function is evaluated; pairs without a = b decide."""
    checkpoint: Checkpoint = "stop"
    """Where in training."""
    direction: Direction = "edge"
    """"edge": the mean over v_1 … v_k*; k* is 1 in most runs."""
    alternative: Literal["greater", "less"] = "greater"
    """Which way the claim points."""
    exists: str = "inputs"
    """The null that knows nothing of the inputs' structure; "below x" is a bound in place of a null."""
    specific: tuple[str, ...] = ("isotropic", "span", "weights", "blocks")
    """The nulls of directions, or of runs."""
    margin: float
    """The smallest excess worth the name."""
    unit: str
    """Unit of the margin: that of the statistic, or "null SD"."""
    published: float | None = None
    """The paper's number."""
    published_statistic: str | None = None
    """What the paper prints, if it is not the primary number."""
    published_inputs: Inputs | None = None
    """Where the paper evaluates it, if not where the answer is decided."""
    published_direction: Direction | None = None
    """Of which direction the paper prints it, if not of v1."""
    peaks: tuple[int, ...] = ()
    """Frequencies that count as the paper's."""
    definition: Literal["text", "script", "ours"] = "text"
    """Whose definition the statistic follows."""


class Protocol(_Fixed):
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

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


_F, _F_MARGIN = "concentration", 0.055
_TASKS = ("add", "sub", "mul", "x2_y2")


def _questions() -> tuple[Question, ...]:
    features = {"add": 0.25, "sub": 0.60}
    return (
        Question(
            claim="C1", task="all", statistic="log_g23_decline", inputs="all", direction="run",
            exists="no weight decay", specific=("operations that never generalise", "update norm"),
            margin=0.69, unit="log ratio", published=3.69, definition="script",
        ),
        Question(
            claim="C2", task="all", statistic="signed_rank_correlation", inputs="all", direction="run",
            exists="circular shifts", specific=("other runs",), margin=0.1, unit="ρ", definition="ours",
        ),
        *(
            Question(
                claim="C3", task=task, statistic="head_purity", inputs="all", alternative="less", exists="below 0.25",
                specific=("isotropic", "span", "weights"), margin=0.0625, unit="share", published=0.14,
                published_direction="v1", definition="script",
            )
            for task in _TASKS
        ),
        Question(
            claim="C4", task="add", statistic="peakedness:script", grouping="sum", inputs="test",
            checkpoint="transition", direction="v1", margin=0.75, unit="null SD", published=32.8, peaks=(25, 26),
            definition="script",
        ),
        *(
            Question(
                claim="C5", task=task, statistic="jaccard", inputs="test", direction="pairs(v1..v3)",
                exists="random_features", specific=("isotropic", "span", "weights"), margin=0.05, unit="Jaccard",
                published=features.get(task), definition="ours",
            )
            for task in _TASKS
        ),
        Question(
            claim="C6", task="add", statistic=_F, grouping="sum", margin=_F_MARGIN, unit="F", published=0.33,
            published_inputs="test", peaks=(25, 26),
        ),
        Question(
            claim="C7", task="mul", statistic=_F, grouping="discrete_log", margin=_F_MARGIN, unit="F", published=0.32,
            published_inputs="test", peaks=(29,),
        ),
        Question(
            claim="C8", task="sub", statistic=_F, grouping="difference", margin=_F_MARGIN, unit="F", published=0.16,
            published_inputs="test", published_direction="mean(v1..v3)", peaks=(16,),
        ),
        Question(
            claim="C9", task="x2_y2", statistic="largest concentration of five bases", margin=_F_MARGIN, unit="F",
            alternative="less", exists="above inputs by less than the margin", published=0.15,
            published_inputs="test",
        ),
        Question(
            claim="C10", task="x2_y2", statistic="cross_gain:held_out", inputs="test", direction="mean(v1..v3)",
            exists="random_features", margin=0.06, unit="R²", published=0.155,
            published_statistic="r2:cross", definition="ours",
        ),
        Question(
            claim="C11", task="x2_y2", statistic="log_concentration_ratio", grouping="sum", inputs="all",
            direction="v1", exists="x2_y2 alone", specific=("isotropic", "mul+x2_y2"), margin=0.42, unit="log ratio",
            published=0.83, definition="script",
        ),
        Question(
            claim="C12", task="add+mul+x2_y2", statistic="sharedness", inputs="test",
            direction="mean(v1..v3)-mean(v4..v8)", exists="label_permutation", specific=("isotropic",), margin=0.225,
            unit="sharedness", published=0.45,
        ),
    )  # fmt: skip


PROTOCOL = Protocol(version=1, questions=_questions())
"""The protocol in force."""
