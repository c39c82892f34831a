"""Draw an intervention: each quantity over strength, the edge's line in the bands of its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from spectral_edge.comparison.plot import COLOURS, OTHER, legend_below, panel_grid, panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spectral_edge.intervention.result import Intervention

__all__ = ["plot_intervention"]


def plot_intervention(intervention: Intervention) -> Figure:
    """One panel a quantity; a band is the middle 90 % of a control's draws, its line their mean, dots the edge."""
    quantities = list(intervention.baseline)
    figure, panels = panel_grid(len(quantities), 4.6, 3.9)
    for axes, quantity in zip(panels, quantities, strict=True):
        _panel(axes, intervention, quantity)
        panel_title(axes, quantity)
        axes.set_xlabel("strength")
    legend_below(figure, panels[0])
    return figure


def _panel(axes: Axes, intervention: Intervention, quantity: str) -> None:
    base = intervention.baseline[quantity]
    arms = list(dict.fromkeys(outcome.arm for outcome in intervention.outcomes))
    for arm in sorted(arms, key="edge".__eq__):  # the edge lies on top
        found: dict[float, list[float]] = {0.0: [base]}
        for outcome in intervention.outcomes:
            if outcome.arm == arm:
                found.setdefault(outcome.strength, []).append(outcome.values[quantity])
        strengths = sorted(found)
        values = [np.array(found[s])[np.isfinite(found[s])] for s in strengths]
        kept = [(s, v) for s, v in zip(strengths, values, strict=True) if len(v)]
        if not kept:
            continue
        x = [s for s, _ in kept]
        mean = [v.mean() for _, v in kept]
        if arm == "edge":
            axes.plot(x, mean, "o-", color="black", markersize=4, linewidth=1.2, label="edge")
            continue
        colour = COLOURS.get(arm, OTHER)
        low, high = zip(*(np.quantile(v, [0.05, 0.95]) for _, v in kept), strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(x, mean, color=colour, linewidth=1.4, linestyle="--" if arm == "theta" else "-", label=arm)
    axes.axhline(base, color="#999999", linewidth=0.8, linestyle=":")
    axes.spines[["top", "right"]].set_visible(False)
