"""Write the whole report: page, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_edge.report.concentration import draw_concentration
from spectral_edge.report.dots import draw_dots
from spectral_edge.report.drawing import Drawing, save
from spectral_edge.report.findings import findings_markdown
from spectral_edge.report.interactive import interactive_training
from spectral_edge.report.latex import claims_latex
from spectral_edge.report.lines import lines_of
from spectral_edge.report.maps import draw_characters, draw_modes
from spectral_edge.report.markdown import verdicts_table
from spectral_edge.report.page import Illustration, illustrate, render_page
from spectral_edge.report.sections import claim_section
from spectral_edge.report.selection import representatives
from spectral_edge.report.spectra import draw_spectra
from spectral_edge.report.sweeps import draw_sweep
from spectral_edge.report.tables import claims_frame, runs_frame, verdicts_frame
from spectral_edge.report.training import (
    STRIDES,
    draw_training,
    stored_spectrum,
    stored_windows,
    training_caption,
)
from spectral_edge.report.trajectories import draw_gap, draw_three_spectra
from spectral_edge.store import write_atomically
from spectral_edge.store.results import Claims

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["write_report"]


def write_report(claims: Claims, analyses: Sequence[Analysis], out: Path) -> Path:
    """Write ``report.html``, ``figures/*.{png,pdf}`` and ``tables/*.{csv,md,tex}`` into ``out``.

    Every judged claim has a section with its headline numbers over seeds. The figures that follow show one run per
    task: with weight decay before without, the paper's seed before others. The tables hold everything in ``claims``.
    A figure whose arrays are not stored is left out and the page says so; equal inputs give equal files, byte for byte.

    Args:
        claims: the rows, verdicts, runs and environment to print.
        analyses: the runs to draw, each with its stored arrays; may be empty or miss any array.
        out: directory to write into, created if absent; files of an earlier report are replaced.

    Returns:
        The path of ``report.html``: one file that loads nothing from outside itself.
    """
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        folder.mkdir(parents=True, exist_ok=True)
    runs = {task: _judged(run, claims) for task, run in representatives(analyses).items()}
    drawings = [
        draw_spectra(runs),
        draw_concentration(runs),
        draw_modes(runs),
        draw_characters(runs),
    ]
    training = [draw_training(runs, stride) for stride in STRIDES]
    of_claims = [(verdict, _of_claim(verdict.claim, claims, analyses)) for verdict in claims.verdicts]
    for drawing in (*drawings, *training, *(one for _, found in of_claims for one in found)):
        save(drawing, figures)
    _write_tables(claims, tables)
    first, *rest = [illustrate(drawing, figures) for drawing in drawings]
    sections = [
        (claim_section(verdict, claims), [illustrate(drawing, figures) for drawing in found])
        for verdict, found in of_claims
    ]
    page = out / "report.html"
    write_atomically(page, render_page(claims, sections, [first, _training(runs, training), *rest]).encode())
    return page


def _of_claim(claim: str, claims: Claims, analyses: Sequence[Analysis]) -> list[Drawing]:
    """The figures of a claim's section: its numbers, and what else is stored of it."""
    rows = [row for row in claims.rows if row.claim == claim]
    drawings = [draw_dots(claim, lines_of(rows))]
    if claim == "C1":
        drawings.append(draw_gap(analyses, rows))
    if claim == "C2":
        drawings.append(draw_three_spectra(representatives(analyses)))
    swept = lines_of(rows, sensitivity=True)
    return [*drawings, draw_sweep(claim, swept, claims.analysis)] if swept else drawings


def _write_tables(claims: Claims, folder: Path) -> None:
    claims_frame(claims.rows).write_csv(folder / "claims.csv")
    verdicts_frame(claims.verdicts).write_csv(folder / "verdicts.csv")
    runs_frame(claims.runs).write_csv(folder / "runs.csv")
    (folder / "verdicts.md").write_text(verdicts_table(claims.verdicts), encoding="utf-8")
    (folder / "claims.tex").write_text(claims_latex(claims), encoding="ascii")
    (folder / "findings.md").write_text(findings_markdown(claims), encoding="utf-8")


def _judged(run: Analysis, claims: Claims) -> Analysis:
    """The analysis with its rows as the claims table has them: only there are p-values adjusted."""
    rows = [row for row in claims.rows if row.run_id == run.summary.run_id]
    return replace(run, rows=rows) if rows else run


def _training(runs: dict[str, Analysis], static: list[Drawing]) -> Illustration:
    """Return the interactive figure that stands on the page for the static one of each stride."""
    plots = tuple(interactive_training(runs))
    windows = stored_windows(stored_spectrum(run, stride) for run in runs.values() for stride in STRIDES)
    return Illustration(
        "training",
        "Spectrum over training",
        training_caption("100 or 1 optimizer steps (choose above each plot)", windows),
        None,
        0,
        plots,
        tuple(plot.source for plot in plots),
        tuple(note for drawing in static for note in drawing.notes),
    )
