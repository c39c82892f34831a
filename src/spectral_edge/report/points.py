"""Questions with their tables, as Markdown and as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_edge.report.drawing import Drawing, save
from spectral_edge.report.markdown import escape, table
from spectral_edge.store import make_folder, write_atomically

if TYPE_CHECKING:
    from spectral_edge.experiments.point import Point

__all__ = ["experiment_markdown", "points_markdown", "write_experiment_report", "write_points"]


def experiment_markdown(name: str, points: Sequence[Point], commit: str | None, date: str) -> str:
    """The points of an experiment as a section of the record; ``name`` as ``make experiment`` takes it."""
    commit_line = f"* Commit: `{commit}`\n" if commit else ""
    head = f"## {date}: {name.replace('-', ' ')}\n\n* Command: `make experiment NAME={name}`\n{commit_line}"
    return f"{head}\n{points_markdown(points)}"


def points_markdown(points: Sequence[Point]) -> str:
    """A heading, a note and a table a point; cells are Markdown already."""
    blocks: list[str] = []
    for point in points:
        blocks += [f"### {escape(point.title)}\n", f"{escape(point.note)}\n", table(point.columns, point.rows)]
    return "\n".join(blocks)


def write_points(points: Sequence[Point], folder: Path, name: str) -> None:
    """Write ``folder/<name>_<number>.csv`` for each point, counted from 1."""
    make_folder(folder)
    for number, point in enumerate(points, start=1):
        text = io.StringIO()
        csv.writer(text).writerows([point.columns, *point.rows])
        write_atomically(folder / f"{name}_{number}.csv", text.getvalue().encode())


def write_experiment_report(name: str, points: Sequence[Point], drawings: Sequence[Drawing], out: Path) -> list[Path]:
    """Write ``figures/<drawing>.{png,pdf}`` and ``tables/<name>_<number>.csv``; returns the figures."""
    figures = out / "figures"
    make_folder(figures)
    write_points(points, out / "tables", name)
    return [path for drawing in drawings for path in save(drawing, figures)]
