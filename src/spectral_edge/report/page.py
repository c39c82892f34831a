"""The HTML page: one file that holds its own styles, scripts, plots and images."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from spectral_edge.report.drawing import Drawing, data_uri
from spectral_edge.report.formatting import duration, mark, plural
from spectral_edge.report.interactive import MOST_POINTS, Plot
from spectral_edge.report.tables import ROW_COLUMNS, RUN_COLUMNS, environment_items
from spectral_edge.store.results import Claims, Verdict

__all__ = ["MOST_ROWS", "Illustration", "abstract", "illustrate", "render_page"]

# A browser lays out this many rows at once without trouble; the CSV file always has them all.
MOST_ROWS = 3000
_PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Illustration:
    """A numbered figure of the page: a static image, interactive plots, or only notes on what is missing.

    ``width`` is the most CSS pixels the image takes: a small figure is not blown up.
    """

    name: str
    title: str
    caption: str
    image: str | None
    width: int
    plots: tuple[Plot, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def illustrate(drawing: Drawing, folder: Path) -> Illustration:
    """Return the drawing, already saved in ``folder``, with its figure embedded."""
    width = 0 if drawing.figure is None else round(_PIXELS_PER_INCH * drawing.figure.get_figwidth())
    return Illustration(
        drawing.name,
        drawing.title,
        drawing.caption,
        data_uri(drawing, folder),
        width,
        (),
        drawing.sources,
        drawing.notes,
    )


def abstract(claims: Claims) -> str:
    """Return one paragraph that says what was tested, on which runs, and how it came out."""
    tasks = sorted({run.task for run in claims.runs})
    seeds = sorted({run.seed for run in claims.runs})
    scope = (
        f"This report covers {plural(len(claims.runs), 'training run')} "
        f"({', '.join(tasks) or 'no task'}; {_listed('seed', seeds)}) "
        f"and {plural(len(claims.rows), 'measured number')}, "
        f"computed in {duration(claims.wall_seconds)} with the {claims.profile} profile."
    )
    return f"{scope} {_outcome(claims.verdicts)}"


def _listed(noun: str, values: Sequence[int]) -> str:
    return f"{noun if len(values) == 1 else noun + 's'} {', '.join(map(str, values)) or 'none'}"


def _outcome(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No claim of the paper is judged here: the numbers are shown as measured."
    again = Counter(verdict.reproduces for verdict in verdicts)
    survives = Counter(verdict.survives_null for verdict in verdicts)
    both = sum(verdict.reproduces is True and verdict.survives_null is True for verdict in verdicts)
    unmatched = sum(verdict.reproduces is True and verdict.survives_null is False for verdict in verdicts)
    return (
        f"Of {plural(len(verdicts), 'claim')} tested, the published number comes back in {again[True]}, does "
        f"not in {again[False]} and is left open in {again[None]}; the effect exceeds its matched null in "
        f"{survives[True]}, does not in {survives[False]} and is left open in {survives[None]}. "
        f"Both hold in {both}; in {unmatched} the number comes back although random directions give it too."
    )


def render_page(claims: Claims, illustrations: Sequence[Illustration]) -> str:
    """Return the report as one HTML document that loads nothing from outside itself."""
    template = _environment().get_template("template.html.j2")
    numbers = itertools.count(1)
    interactive = any(illustration.plots for illustration in illustrations)
    return template.render(
        claims=claims,
        abstract=abstract(claims),
        figures=[(next(numbers), illustration) for illustration in illustrations],
        rows=claims.rows[:MOST_ROWS],
        row_columns=ROW_COLUMNS,
        run_columns=RUN_COLUMNS,
        environment=environment_items(claims.environment),
        most_points=MOST_POINTS,
        plotly=Markup(get_plotlyjs()) if interactive else None,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("spectral_edge.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mark"] = mark
    environment.filters["duration"] = duration
    return environment
