"""Basis discovery drawn and written down: figures, tables, and one offline page of its seven points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.experiments.discovery import Picture, Point, curve_of
from spectral_edge.report.drawing import CELL_COLOURS, GREY, SERIES, Drawing, plain, save, settle, style
from spectral_edge.report.page import environment, illustrate
from spectral_edge.report.points import write_points
from spectral_edge.store import DiscoveryRow, make_folder, write_atomically

__all__ = ["draw_discovery", "draw_emergence", "write_discovery_report"]

_SHOWN_EIGENVALUES = 40
_CIRCLES = 2


def draw_discovery(picture: Picture) -> Drawing:
    """Two circles coloured by the recovered order, the scree over its null band, and f before and after reordering."""
    with style():
        figure = Figure(figsize=(10.5, 2.75), layout="constrained")
        axes = figure.subplots(1, _CIRCLES + 3)
        for index, panel in enumerate(axes[:_CIRCLES]):
            _circle(panel, picture, index)
        _scree(axes[_CIRCLES], picture)
        limit = np.quantile(np.abs(picture.function), 0.99)
        order = picture.arrangement
        ordered = "f, recovered order" if picture.has_law else "f, no order found"
        for panel, cells, title in (
            (axes[-2], picture.function, "f, tokens as numbered"),
            (axes[-1], picture.function[np.ix_(order, order)], ordered),
        ):
            panel.imshow(cells, cmap=CELL_COLOURS, vmin=-limit, vmax=limit, interpolation="nearest")
            panel.set_title(title)
            panel.set_xlabel("b")
            panel.set_ylabel("a")
        settle(figure)
    return Drawing(
        picture.name,
        f"{picture.title}: {picture.answer}",
        "Each point is a token, where a function of modulus one (a character, if the group is abelian) puts it; "
        "colour is its place in the recovered order, or its number if there is none. The scree "
        "shows eigenvalues of the kernel of tokens (points) and the 95 % quantile after shuffling the pairs (line). "
        "f is the first component of the first function, main effects removed.",
        figure,
        (picture.source,),
        (),
        cells=True,
    )


def _circle(panel: Axes, picture: Picture, index: int) -> None:
    panel.set_aspect("equal")
    panel.set_axis_off()
    if index >= len(picture.characters):
        panel.text(0.5, 0.5, "" if index else "no circle", ha="center", transform=panel.transAxes, color=GREY)
        return
    z = picture.characters[index]
    panel.scatter(z.real, z.imag, c=picture.position, cmap=CELL_COLOURS, s=11, linewidths=0)
    panel.set_title(f"circle {index + 1}")


def _scree(panel: Axes, picture: Picture) -> None:
    rank = np.arange(1, min(_SHOWN_EIGENVALUES, len(picture.eigenvalues)) + 1)
    panel.plot(rank, picture.eigenvalues[: len(rank)], ".", color=SERIES[0].colour, markersize=4)
    panel.plot(rank, picture.null_quantile95[: len(rank)], color=GREY)
    panel.set_yscale("log")
    panel.set_xlabel("rank")
    panel.set_title("share of the kernel")


def draw_emergence(rows: Sequence[DiscoveryRow]) -> Drawing:
    """How round the roundest circle is over training, from edge and random directions, beside test accuracy."""
    runs = list(dict.fromkeys(row.run_id for row in rows if row.source == "edge" and row.step == 300))
    with style():
        n_columns = 3
        n_rows = max(1, -(-len(runs) // n_columns))
        figure = Figure(figsize=(9, 2.1 * n_rows), layout="constrained")
        for index, run_id in enumerate(runs):
            _emergence(figure.add_subplot(n_rows, n_columns, index + 1), rows, run_id, legend=index == 0)
        settle(figure)
    return Drawing(
        "discovery_emergence",
        "When the basis becomes readable",
        "Structure found in responses to eight edge directions and to eight random ones: −log₁₀ p of the structure "
        "(at most 2.0 with 100 null draws; dotted, 0.05); a ring where the law was recovered on every pair. Grey: "
        "test accuracy, right axis. One model a panel.",
        figure,
        tuple(runs),
        (),
    )


def _emergence(panel: Axes, rows: Sequence[DiscoveryRow], run_id: str, legend: bool) -> None:
    first = next(row for row in rows if row.run_id == run_id)
    accuracy = panel.twinx()
    for source, series in (("edge", SERIES[0]), ("random", SERIES[1])):
        curve = curve_of(rows, run_id, source)
        steps, heights = [row.step for row in curve], [-np.log10(row.pvalue) for row in curve]
        panel.plot(steps, heights, linestyle=series.line, color=series.colour, label=source)
        hits = [i for i, row in enumerate(curve) if row.recovered]
        panel.plot(
            [steps[i] for i in hits],
            [heights[i] + (0.06 if source == "edge" else -0.06) for i in hits],
            "o",
            color=series.colour,
            markerfacecolor="none",
            markersize=4,
        )
        if source == "edge":
            accuracy.plot(steps, [row.test_accuracy or 0.0 for row in curve], color=GREY, linewidth=1)
    panel.axhline(-np.log10(0.05), color=GREY, linestyle=":", linewidth=0.8)
    panel.set_ylim(-0.1, 2.2)
    panel.set_title(plain(f"{first.operation}, seed {first.seed}"))
    panel.set_xlabel("step")
    panel.set_ylabel("−log₁₀ p")
    accuracy.set_ylim(0, 1.05)
    accuracy.set_ylabel("accuracy", color=GREY)
    if legend:
        panel.legend(loc="upper left")


def write_discovery_report(
    points: Sequence[Point],
    rows: Sequence[DiscoveryRow],
    pictures: Sequence[Picture],
    out: Path,
    heading: str = "Basis discovery",
) -> Path:
    """Write ``discovery.html``, ``figures/discovery_*.{png,pdf}`` and ``tables/*.csv``; returns the page."""
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        make_folder(folder)
    drawings = [draw_discovery(picture) for picture in pictures]
    if any(row.source == "edge" and row.step == 300 for row in rows):
        drawings.insert(0, draw_emergence(rows))
    for drawing in drawings:
        save(drawing, figures)
    write_points(points, tables, "point")
    page = out / "discovery.html"
    illustrations = [illustrate(drawing, figures) for drawing in drawings]
    rendered = (
        environment().get_template("discovery.html.j2").render(heading=heading, points=points, figures=illustrations)
    )
    write_atomically(page, rendered.encode())
    return page
