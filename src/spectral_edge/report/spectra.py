"""Figure 1 of the paper: the Fourier spectrum of each functional mode, over the band of random directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, hide, plain, settle, style
from spectral_edge.report.selection import Panel, spectrum_panels

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["draw_spectra"]

_COLUMNS = 3
_PUBLISHED_FREQUENCIES = 48  # of the paper's groups, which have 96 and 97 elements
_BAND = "#dcdcdc"
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 9,
    "linestyle": "none",
    "markerfacecolor": "none",
    "markeredgecolor": INK,
}
_PUBLISHED: dict[str, Any] = _RING | {"marker": "^", "markersize": 8, "markerfacecolor": "white"}
_CAPTION = (
    "Fourier power of the group averages of the functional modes f₁, f₂, f₃ (directions v₁, v₂, v₃), each "
    "spectrum summing to 1 over ω = 1…⌊M/2⌋. Grey: median and 95 % quantile over random directions of the "
    "same parameters at the same checkpoint, taken frequency by frequency, so that a random direction is "
    "expected to leave the band at about one frequency in twenty. Ring: peak of v₁. Triangle on the axis: "
    "the published peak of v₁."
)


def draw_spectra(runs: Mapping[str, Analysis]) -> Drawing:
    """Draw the spectra of v1…v3 in every panel whose profile is stored."""
    panels, missing = spectrum_panels(runs)
    return Drawing(
        "spectra",
        "Spectra of the functional modes",
        _CAPTION,
        _figure(panels) if panels else None,
        tuple(panel.source for panel in panels),
        tuple(missing),
    )


def _figure(panels: list[Panel]) -> Figure:
    # The cell after the last panel holds the legend, where it can cover no data.
    rows = -(-(len(panels) + 1) // _COLUMNS)
    with style():
        figure = Figure(figsize=(12, 3.1 * rows), layout="constrained")
        cells = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes, panel in zip(cells, panels, strict=False):
            _draw(axes, panel)
        for axes in cells[len(panels) :]:
            hide(axes)
        cells[len(panels)].legend(handles=_legend(), loc="center left", handlelength=3.2, labelspacing=0.8)
        return settle(figure)


def _draw(axes: Axes, panel: Panel) -> None:
    power = panel.array("power")
    assert power is not None, "a panel exists only where its profile is stored"
    frequency = np.arange(1, power.shape[1] + 1)
    null = panel.array("null")
    if null is not None:
        median, high = np.quantile(null, [0.5, 0.95], axis=0)
        axes.fill_between(frequency, median, high, color=_BAND, lw=0)
        axes.plot(frequency, median, color=GREY, lw=0.9)
    for index, row in enumerate(power[:3]):
        series = SERIES[index]
        axes.plot(
            frequency,
            row,
            color=series.colour,
            linestyle=series.line,
            marker=series.marker,
            markersize=3,
            zorder=5 - index,
        )
    _mark_peaks(axes, panel, power[:3])
    axes.set_title(plain(panel.title))
    axes.set_xlabel(f"frequency ω (1…{frequency[-1]})")
    axes.set_ylabel("share of power")
    axes.set_xlim(0, frequency[-1] + 1)
    axes.margins(y=0.16)
    axes.set_ylim(bottom=0)


def _mark_peaks(axes: Axes, panel: Panel, power: np.ndarray) -> None:
    """Ring the peak of v1 and point at the frequency the paper published for it."""
    peak = int(power[0].argmax())
    near_right_edge = peak > 0.9 * power.shape[1]
    axes.plot(peak + 1, power[0, peak], **_RING)
    axes.annotate(
        f"ω = {peak + 1}",
        (peak + 1, power[:, peak].max()),
        xytext=(8 if near_right_edge else 0, 7),
        textcoords="offset points",
        ha="right" if near_right_edge else "center",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        zorder=9,
    )
    for published in panel.published_peaks if power.shape[1] == _PUBLISHED_FREQUENCIES else ():
        axes.plot(published, 0, clip_on=False, zorder=8, **_PUBLISHED)


def _legend() -> list[Line2D | Patch]:
    lines = [
        Line2D([], [], color=one.colour, ls=one.line, marker=one.marker, markersize=4, label=f"v{index}")
        for index, one in enumerate(SERIES[:3], start=1)
    ]
    return [
        *lines,
        Line2D([], [], **_RING, label="peak of v1"),
        Line2D([], [], **_PUBLISHED, label="published peak of v1"),
        Line2D([], [], color=GREY, lw=0.9, label="random directions: median"),
        Patch(color=_BAND, label="random directions: median to 95 % quantile"),
    ]
