"""What is asked of a claim in one task: its primary number, what it is held against, and the margin."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from spectral_edge.store import Checkpoint, Definition, Inputs

__all__ = ["FOUR_TASKS", "F_MARGIN", "NULL_NAMES", "Question", "QuestionDirection", "null_name"]

FOUR_TASKS = ("add", "sub", "mul", "x2_y2")
F_MARGIN = 0.055
"""Half of the published difference of F between edge and bulk, .29 - .18."""

NULL_NAMES = {
    "isotropic": "random directions",
    "span": "random directions of the window",
    "weights": "random directions at the same angle to the weights",
    "blocks": "the direction with permuted entries",
    "inputs": "permuted inputs",
    "above inputs by less than the margin": "nothing above permuted inputs",
    "random_features": "features that know nothing of the model",
    "label_permutation": "other choices of three of the eight directions",
    "circular shifts": "one series shifted in time",
    "update norm": "the decline of the update norm",
    "no weight decay": "runs without weight decay",
}
"""What a null is called in sentences and tables."""


def null_name(null: str) -> str:
    """The name of a null in words: ``random directions``."""
    return NULL_NAMES.get(null, null)


QuestionDirection = Literal["edge", "v1", "mean(v1..v3)", "pairs(v1..v3)", "mean(v1..v3)-mean(v4..v8)", "run"]


class Question(BaseModel):
    """The primary number of a claim in one task, and what it is held against.

    Its *excess* over a null is measured - null mean, or the reverse where the claim is that of a small number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    direction: QuestionDirection = "edge"
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
    published_direction: QuestionDirection | None = None
    """Of which direction the paper prints it, if not of v1."""
    peaks: tuple[int, ...] = ()
    """Frequencies that count as the paper's."""
    definition: Definition = "text"
    """Whose definition the statistic follows."""

    @property
    def has_reruns(self) -> bool:
        """Whether the paper prints a number, and of a seed that is trained again; shared trunks are not."""
        return self.published is not None and self.claim not in ("C11", "C12")

    @property
    def as_printed(self) -> Question:
        """The question about the very number that the paper prints."""
        of_v1: QuestionDirection = "v1" if self.direction == "edge" else self.direction
        update = {
            "statistic": self.published_statistic or self.statistic,
            "inputs": self.published_inputs or self.inputs,
            "direction": self.published_direction or of_v1,
        }
        return self.model_copy(update=update)
