"""The HTML page: one file that holds its own styles, scripts, plots and images."""

from __future__ import annotations

import base64
import functools
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from spectral_edge.report.answers import EFFECT_COLUMNS, outcomes
from spectral_edge.report.drawing import Drawing, data_uri
from spectral_edge.report.formatting import mark
from spectral_edge.report.interactive import MOST_POINTS, Plot
from spectral_edge.report.sections import ClaimSection
from spectral_edge.report.summary import computing_time, decision_sentence, scope
from spectral_edge.report.tables import EVIDENCE_COLUMNS, ROW_COLUMNS, RUN_COLUMNS, Column, environment_items
from spectral_edge.store import ClaimRow, Claims, Numbers

__all__ = ["MOST_ROWS", "Illustration", "environment", "illustrate", "render_page"]

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


def render_page(
    claims: Claims | None,
    numbers: Numbers,
    sections: Sequence[tuple[ClaimSection, Sequence[Illustration]]],
    figures: Sequence[Illustration],
) -> str:
    """Return the report as one HTML document that loads nothing from outside itself.

    Args:
        claims: the answers; ``None`` where there are none.
        numbers: what the summary and the tables hold.
        sections: a section a claim, with its figures.
        figures: those about all claims, before the sections.
    """
    count = itertools.count(1)
    about_all = [(next(count), illustration) for illustration in figures]
    numbered = [(section, [(next(count), one) for one in illustrations]) for section, illustrations in sections]
    rows = _shown(numbers.rows)
    return (
        environment()
        .get_template("template.html.j2")
        .render(
            numbers=numbers,
            answers=claims.answers if claims else (),
            decision=decision_sentence(claims) if claims else "",
            scope=scope(claims, numbers),
            outcomes=outcomes(claims.answers) if claims else (),
            sections=numbered,
            figures=about_all,
            effect_columns=EFFECT_COLUMNS,
            rows=rows,
            evidence=claims.rows[:MOST_ROWS] if claims else (),
            evidence_columns=EVIDENCE_COLUMNS,
            row_columns=ROW_COLUMNS,
            numeric_cells=", ".join(
                [*_numeric("evidence-table", EVIDENCE_COLUMNS), *_numeric("row-table", ROW_COLUMNS)]
            ),
            run_columns=RUN_COLUMNS,
            environment=environment_items(numbers.environment),
            most_points=MOST_POINTS,
            plotly=_packed_plotly() if any(illustration.plots for illustration in figures) else None,
        )
    )


def _numeric(holder: str, columns: Sequence[Column]) -> list[str]:
    """CSS selectors of the cells of a long table that hold numbers."""
    return [f"#{holder} td:nth-child({i})" for i, column in enumerate(columns, 1) if column.numeric]


def _shown(rows: Sequence[ClaimRow]) -> list[ClaimRow]:
    """The lines of the table of all numbers: those over seeds first, then single runs, as many as a browser bears."""
    return sorted(rows, key=lambda row: row.seed is not None)[:MOST_ROWS]


@functools.cache
def _packed_plotly() -> str:
    """Plotly's script as base64 of its zlib stream: less than half of the plain text, and the browser can unpack it."""
    return base64.b64encode(zlib.compress(get_plotlyjs().encode(), 9)).decode("ascii")


def environment() -> Environment:
    """The templates of this room, with everything escaped that is put into them."""
    templates = Environment(
        loader=PackageLoader("spectral_edge.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["mark"] = mark
    templates.filters["computing_time"] = computing_time
    return templates
