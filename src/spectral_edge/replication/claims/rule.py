"""What a rule for a claim is, and how close to a published number is close enough.

Tolerances were fixed before the first numbers were seen. Afterwards a review changed the rules of C3 and C9, which
claim an absence and could not have come out true as first written, gave "at most" numbers one side only, and took an
invented threshold out of C13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spectral_edge.store import Checkpoint, ClaimRow, Inputs, NullKind

__all__ = ["TOLERANCES", "Check", "ClaimRule", "Rows", "at_peak", "is_close"]

Rows = Sequence[ClaimRow]
Check = Callable[[Rows], tuple[bool | None, str]]
"""A condition on the shape of a result, and its sentence; ``None`` if its rows are missing or it only informs."""

# How far from the published number still counts as the same number. Another machine rounds differently, and after
# thousands of steps two such runs share frequencies but not the exact mix in v_2 or v_4: hence a factor, not a digit.
TOLERANCES: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "concentration": ("within a factor 1.5", lambda ours, theirs: 1 / 1.5 <= ours / theirs <= 1.5),
    "peakedness": ("within a factor 1.5", lambda ours, theirs: 1 / 1.5 <= ours / theirs <= 1.5),
    "effective_rank": ("within 25 %", lambda ours, theirs: abs(ours / theirs - 1) <= 0.25),
    "head_purity": ("within 0.02", lambda ours, theirs: abs(ours - theirs) <= 0.02),
    "r2": ("within 0.05", lambda ours, theirs: abs(ours - theirs) <= 0.05),
    "cross_ratio": ("within a factor 1.5", lambda ours, theirs: 1 / 1.5 <= ours / theirs <= 1.5),
    "g23_decline": ("mean within a factor 2", lambda ours, theirs: 1 / 2 <= ours / theirs <= 2),
    "g23_decline:fraction": ("fraction of runs within 0.2", lambda ours, theirs: abs(ours - theirs) <= 0.2),
    "share:other": ("within 0.05", lambda ours, theirs: abs(ours - theirs) <= 0.05),
    "power_share:published": ("within a factor 1.5", lambda ours, theirs: 1 / 1.5 <= ours / theirs <= 1.5),
    "jaccard": ("within 0.15", lambda ours, theirs: abs(ours - theirs) <= 0.15),
    "sharedness": ("within 0.1", lambda ours, theirs: abs(ours - theirs) <= 0.1),
    "synergy": ("within a factor 1.5", lambda ours, theirs: 1 / 1.5 <= ours / theirs <= 1.5),
}


def is_close(row: ClaimRow) -> bool:
    """Whether the measured number is the published one within its tolerance, or respects it if it is an upper bound."""
    assert row.published is not None
    if row.published_is_upper_bound:
        return row.measured <= row.published
    return TOLERANCES[row.statistic][1](row.measured, row.published)


def at_peak(row: ClaimRow) -> str:
    """The end of a sentence, " at ω 26"; nothing for seeds that differ, which have no one peak."""
    return "" if row.peak is None else f" at ω {row.peak}"


@dataclass(frozen=True)
class ClaimRule:
    """How one claim is judged.

    *Reproduces*: more than half of the published numbers come back within tolerance, more than half of the published
    frequencies come back exactly, and no check fails. *Survives its null*: more than half of the deciding rows exceed
    their null, and no condition fails; for the claim of an absence, none of the rows does. To exceed its null a row
    needs p < 0.05, adjusted over the deciding rows of its claim; if it stands for several seeds, two of them must also
    have p < 0.05 by themselves, since in combined p-values one strong seed carries the others (not asked where
    exceeding counts against the claim). Published numbers are those of seed 42 and are compared with that seed.

    Attributes:
        claim: C1 … C14.
        statement: the claim, for people.
        statistics: statistics of the deciding rows.
        tasks: tasks of the deciding rows; all if empty.
        directions: their directions; all if empty.
        basis: their grouping; any if ``None``.
        inputs: where their functions were evaluated; any but controls if ``None``.
        checkpoint: where the paper looks; rows of other checkpoints are shown and decide nothing. Any if ``None``.
        among: a further condition on deciding rows.
        decided_by: which of a row's nulls decides; its first if ``None``.
        absence: whether the claim is that something is *not* there.
        checks: further conditions of reproducing, on the shape of the result.
        conditions: further conditions of surviving, beyond single nulls.
    """

    claim: str
    statement: str
    statistics: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    basis: str | None = None
    inputs: Inputs | None = None
    checkpoint: Checkpoint | None = None
    among: Callable[[ClaimRow], bool] = field(default=lambda row: True)
    decided_by: NullKind | None = None
    absence: bool = False
    checks: tuple[Check, ...] = ()
    conditions: tuple[Check, ...] = ()

    def looks_at(self, row: ClaimRow) -> bool:
        """Whether the row is of this claim and its checkpoint; a run without a stop is judged where it ended."""
        return row.claim == self.claim and (
            self.checkpoint is None
            or row.checkpoint in (None, self.checkpoint)
            or (self.checkpoint == "stop" and row.checkpoint == "final")
        )

    def decides(self, row: ClaimRow) -> bool:
        """Whether this row's null decides the claim."""
        return self._is_about(row) and row.null is not None and self.decided_by in (None, row.null.kind)

    def with_deciding_null(self, row: ClaimRow) -> ClaimRow:
        """The row with the null that decides first, and the one that stood there among the further ones."""
        deciding = next((null for null in row.further_nulls if null.kind == self.decided_by), None)
        if deciding is None or row.null is None or not self._is_about(row):
            return row
        others = [row.null, *(null for null in row.further_nulls if null is not deciding)]
        return row.model_copy(update={"null": deciding, "further_nulls": others})

    def _is_about(self, row: ClaimRow) -> bool:
        return (
            self.looks_at(row)
            and row.statistic in self.statistics
            and (not self.tasks or row.task in self.tasks)
            and (not self.directions or row.direction in self.directions)
            and (self.basis is None or row.grouping == self.basis)
            and (self.inputs is None or row.inputs == self.inputs)
            and row.inputs != "test_off_diagonal"  # a control: shown, not counted
            and self.among(row)
        )
