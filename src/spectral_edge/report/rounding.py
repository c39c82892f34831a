"""Copies of runs drawn and written down: how they part, and what their edges still share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.report.drawing import GREY, SERIES, Drawing, settle, style
from spectral_edge.report.formatting import operation
from spectral_edge.store import CopyRow, PartingRow, Rounding

__all__ = ["draw_copies"]


def draw_copies(rounding: Rounding) -> Drawing:
    """Above, distances over training; below, F and peak of v1 of every copy, one column an operation."""
    names = list(dict.fromkeys(row.operation for row in rounding.copies))
    with style():
        figure = Figure(figsize=(3.1 * max(1, len(names)), 5.4), layout="constrained")
        axes = figure.subplots(2, max(1, len(names)), squeeze=False, sharey="row")
        for column, name in enumerate(names):
            _distances(axes[0, column], [p for p in rounding.partings if p.operation == name])
            _peaks(axes[1, column], [row for row in rounding.copies if row.operation == name])
            axes[0, column].set_title(operation(name))
        axes[0, 0].set_ylabel("|θ − θ'| / |θ|")
        axes[1, 0].set_ylabel("F of v₁, and its peak ω")
        if names:
            axes[1, 0].set_ylim(0, 1.15 * max(row.concentration[0] for row in rounding.copies))
            handles, labels = axes[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
        settle(figure)
    first = rounding.copies[0] if rounding.copies else None
    return Drawing(
        "rounding",
        "Runs whose learning rates are neighbouring float32 numbers",
        "Above: distance of the attention weights of two runs at equal steps. Below: concentration F of v₁ at the stop "
        "of each copy, seed by seed, and the frequency of its peak; first in each seed, the run as published.",
        figure,
        () if first is None else (_setting(first),),
        (),
    )


def _setting(row: CopyRow) -> str:
    centring = "centred" if row.centered else "uncentred"
    return f"window {row.window}, stride {row.stride}, {centring}, exact derivative, held-out pairs"


def _distances(panel: Axes, partings: Sequence[PartingRow]) -> None:
    kinds = ((False, "two seeds", SERIES[1], 1.0), (True, "one seed, two copies", SERIES[0], 0.8))
    for same_seed, label, series, width in kinds:
        for number, row in enumerate(p for p in partings if p.same_seed == same_seed):
            away = np.array(row.distance) > 0  # a logarithmic axis has no place for runs that are equal
            steps, distance = np.array(row.steps)[away], np.array(row.distance)[away]
            name = label if number == 0 else None
            panel.plot(steps, distance, color=series.colour, linestyle=series.line, linewidth=width, label=name)
    panel.set_yscale("log")
    panel.set_xlabel("step")
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.6)


def _peaks(panel: Axes, rows: Sequence[CopyRow]) -> None:
    seeds = list(dict.fromkeys(row.seed for row in rows))
    for place, seed in enumerate(seeds):
        members = sorted((row for row in rows if row.seed == seed), key=lambda row: row.copy_number)
        across = place + 0.66 * (np.arange(len(members)) - (len(members) - 1) / 2) / max(1, len(members))
        for number, (x, row) in enumerate(zip(across, members, strict=True)):
            series = SERIES[0] if row.copy_number else SERIES[2]
            panel.plot(x, row.concentration[0], series.marker, color=series.colour, markersize=4)
            panel.annotate(
                str(row.peak[0]),
                (x, row.concentration[0]),
                xytext=(0, -5 if number % 2 else 5),  # neighbours that are alike would write over each other
                textcoords="offset points",
                ha="center",
                va="top" if number % 2 else "bottom",
                fontsize=7,
            )
        if place:
            panel.axvline(place - 0.5, color=GREY, linewidth=0.5)
    panel.set_xticks(range(len(seeds)), [str(seed) for seed in seeds])
    panel.set_xlabel("seed")
    panel.set_xlim(-0.5, len(seeds) - 0.5)
