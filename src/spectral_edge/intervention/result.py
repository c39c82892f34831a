"""What an intervention did: every measured number, and the edge beside its controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_edge.comparison import Comparison, NullRow
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure

__all__ = ["Intervention", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What ``evaluate`` said of one displacement.

    Attributes:
        arm: ``"edge"`` or a control.
        strength: s.
        draw: number of the arm's direction, from 0.
        values: quantity -> number.
    """

    arm: str
    strength: float
    draw: int
    values: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Intervention(Tabular):
    """The edge moved, beside controls that move the weights by the same norm; made by :func:`intervene`.

    Attributes:
        outcomes: one a displacement, in the order in which they were made.
        baseline: quantity -> number, of the weights as they were.
        norm: length of the displacement at strength 1.
        share: that length over the length of the weights.
        protocol: how it was done: model, parameters, directions, draws, seed.
        left_out: controls that could not be had, and why.
        complete: False if it was interrupted; the outcomes are then those that were done.
    """

    outcomes: tuple[Outcome, ...]
    baseline: Mapping[str, float]
    norm: float
    share: float
    protocol: Mapping[str, Any]
    left_out: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    @cached_property
    def table(self) -> polars.DataFrame:
        """One row a (arm, strength, draw, quantity), with its ``value``."""
        import polars  # on call: importing the library should not wait for a table package

        rows = [(o.arm, o.strength, o.draw, name, value) for o in self.outcomes for name, value in o.values.items()]
        schema = {
            "arm": polars.String,
            "strength": polars.Float64,
            "draw": polars.Int64,
            "quantity": polars.String,
            "value": polars.Float64,
        }
        return polars.DataFrame(rows, schema=schema, orient="row")

    def to_polars(self) -> polars.DataFrame:
        """:attr:`table`."""
        return self.table

    @cached_property
    def comparison(self) -> Comparison:
        """Each quantity under the edge's arm against the draws of each control.

        As a :class:`~spectral_edge.comparison.Comparison`.
        Its statistics are called ``"loss at 0.5"``: quantity and strength. It can be drawn, saved, and put together
        over independent runs (:func:`~spectral_edge.comparison.over_runs`). Numbers that are not finite are left out.
        """
        values: dict[tuple[str, str], list[float]] = {}
        for outcome in self.outcomes:
            for name, value in outcome.values.items():
                values.setdefault((f"{name} at {_plain(outcome.strength)}", outcome.arm), []).append(value)
        rows = []
        for (statistic, arm), found in values.items():
            measured = values.get((statistic, "edge"), [np.nan])[0]
            kept = np.array(found)[np.isfinite(found)]
            if arm != "edge" and np.isfinite(measured):
                rows.append(NullRow(None, statistic, arm, measured, kept))
        return Comparison(tuple(rows), dict(self.protocol), "greater", self.complete, dict(self.left_out))

    def plot(self, path: Path | str | None = None) -> Figure:
        """Draw each quantity over strength: the edge's line, and the middle 90 % of each control's draws.

        Args:
            path: file to save the figure to (PNG, SVG, PDF), too.
        """
        from spectral_edge.intervention.plot import plot_intervention

        figure = plot_intervention(self)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __repr__(self) -> str:
        arms = list(dict.fromkeys(outcome.arm for outcome in self.outcomes))
        strengths = sorted({outcome.strength for outcome in self.outcomes})
        stopped = "" if self.complete else ", interrupted"
        return (
            f"Intervention({', '.join(self.baseline)} at {', '.join(f'{s:g}' for s in strengths)}; {', '.join(arms)}; "
            f"|displacement| = {self.norm:.3g}, {100 * self.share:.0f} % of the weights{stopped})"
        )


def _plain(strength: float) -> str:
    """Without ``.0``, and with all digits where fewer would be another number."""
    short = f"{strength:.15g}"
    return short if float(short) == strength else repr(strength)
