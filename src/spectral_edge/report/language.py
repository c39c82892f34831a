"""The evidence on a language model drawn: what directions explain over training, and where plants are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.experiments.language import explained_summary, plant_summary, reading_summary
from spectral_edge.report.drawing import GREY, SERIES, Drawing, Series, settle, style

if TYPE_CHECKING:
    import polars


__all__ = ["draw_language"]

# Edge, "by" and looks of a line of the left panel.
_EXPLAINED = {
    "displacement": ("update", "displacement", Series("#222222", "-", "solid", "x")),
    "and v₁ … v₃": ("update", "displacement+edge", SERIES[0]),
    "and v₁ … v₃ of weight decay": ("decay", "displacement+edge", SERIES[1]),
    "v₁ … v₃ alone": ("update", "edge", SERIES[2]),
    "path in 3 pieces": ("pieces", "edge", SERIES[3]),
    "3 random of the window": ("update", "span", SERIES[4]),
}
_CAPTION = (
    "Above: share of a window's change of held-out log-probabilities that directions carry, at the window's end, first "
    "training. Left: gain with which planted characters predict the response to v₁ and to the displacement, in the "
    "window in which they were learned, and in how many seeds they are found; open: the same window of the training "
    "without a plant. Right: the same gain of ten features of the text, first training; grey: means of random "
    "directions. Marks: means over seeds; bars: 90 % intervals."
)


def draw_language(tables: dict[str, polars.DataFrame]) -> Drawing:
    """Draw three panels.

    Args:
        tables: of ``gather_language``.
    """
    with style():
        figure = Figure(figsize=(6.8, 6.6), layout="constrained")
        panels = figure.subplot_mosaic([["explained", "explained"], ["plants", "text"]])
        explained, plants, text = panels["explained"], panels["plants"], panels["text"]
        _explained(explained, explained_summary(tables["explained"]).filter(arm="base", kind="r2"))
        _plants(plants, plant_summary(tables["readings"], tables["learned"]))
        _text(text, reading_summary(tables["readings"]).filter(arm="base", statistic="text"))
        settle(figure)
    seeds = tables["readings"]["seed"].n_unique()
    title = "What edges of a language model explain and show"
    return Drawing("language", title, _CAPTION, figure, (f"{seeds} seeds",), ())


def _explained(axes: Axes, table: polars.DataFrame) -> None:
    steps = sorted(table["step"].unique())
    for number, (label, (edge, by, series)) in enumerate(_EXPLAINED.items()):
        own = table.filter(edge=edge, by=by).sort("step")
        x = [steps.index(step) + 0.07 * (number - 2.5) for step in own["step"]]
        axes.vlines(x, own["low"], own["high"], color=series.colour, lw=1)
        axes.plot(x, own["mean"], series.marker, ls=series.line, color=series.colour, ms=4, lw=0.8, label=label)
    axes.set_xticks(range(len(steps)), [str(step) for step in steps])
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(xlabel="step at which the window ends", ylabel="R², held out")
    axes.set_title("what directions explain")
    _legend_below(axes, ncols=3)


def _plants(axes: Axes, table: polars.DataFrame) -> None:
    names = list(dict.fromkeys(table["plant"]))
    for place, name in enumerate(names):
        for shift, direction, series in ((-0.15, "v1", SERIES[0]), (0.15, "displacement", SERIES[1])):
            for planted, face in ((True, series.colour), (False, "white")):
                for row in table.filter(plant=name, direction=direction, planted=planted).rows(named=True):
                    axes.plot(
                        place + shift, row["measured"], series.marker, color=series.colour, markerfacecolor=face, ms=5,
                        label=direction.replace("v1", "v₁") if planted and place == 0 else None,
                    )  # fmt: skip
                    if planted:
                        axes.annotate(
                            f"{row['found']}/{row['seeds']}", (place + shift, row["measured"]), xytext=(0, 5),
                            textcoords="offset points", ha="center", fontsize=7,
                        )  # fmt: skip
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(ylabel="cross-validated gain")
    axes.margins(y=0.12)
    axes.set_title("what was planted")
    _legend_below(axes)


def _text(axes: Axes, table: polars.DataFrame) -> None:
    import polars

    steps = sorted(table["step"].unique())
    own = table.filter(direction="v1")
    lines = {"v₁": (own.filter(polars.col("null").is_null()), SERIES[0])}
    lines["displacement"] = (table.filter(polars.col("null").is_null(), direction="displacement"), SERIES[1])
    for number, (label, (part, series)) in enumerate(lines.items()):
        x = [steps.index(step) + 0.1 * number for step in part["step"]]
        axes.vlines(x, part["low"], part["high"], color=series.colour, lw=1)
        axes.plot(x, part["mean"], series.marker, ls=series.line, color=series.colour, ms=4, lw=0.8, label=label)
    measured = dict(zip(lines["v₁"][0]["step"], lines["v₁"][0]["mean"], strict=True))
    for null, name, marker in (("span", "of the window", "v"), ("weights", "same angle to θ", "^")):
        part = own.filter(null=null)
        values = [measured[step] - excess for step, excess in zip(part["step"], part["mean"], strict=True)]
        axes.plot([steps.index(s) for s in part["step"]], values, marker, color=GREY, ms=4, label=name)
    axes.set_xticks(range(len(steps)), [str(step) for step in steps])
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(xlabel="step at which the window ends", ylabel="cross-validated gain")
    axes.set_title("features of the text")
    _legend_below(axes)


def _legend_below(axes: Axes, ncols: int = 2) -> None:
    """Where no mark can lie under it."""
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=ncols)
