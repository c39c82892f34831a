"""Write the whole report: page, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_edge.report.answers import answers_frame, answers_table
from spectral_edge.report.decay import draw_decay
from spectral_edge.report.dots import draw_dots
from spectral_edge.report.drawing import Drawing, save
from spectral_edge.report.findings import findings_markdown
from spectral_edge.report.forest import draw_answers, draw_forest
from spectral_edge.report.interactive import interactive_training
from spectral_edge.report.latex import answers_latex
from spectral_edge.report.lines import lines_of
from spectral_edge.report.maps import draw_characters, draw_modes
from spectral_edge.report.page import Illustration, illustrate, render_page
from spectral_edge.report.placed import draw_placed
from spectral_edge.report.sections import claim_sections
from spectral_edge.report.selection import representatives
from spectral_edge.report.sensitivity import draw_sensitivity
from spectral_edge.report.spectra import draw_spectra
from spectral_edge.report.tables import evidence_frame, numbers_frame, runs_frame
from spectral_edge.report.training import (
    STRIDES,
    draw_training,
    stored_spectrum,
    stored_windows,
    training_caption,
)
from spectral_edge.report.trajectories import draw_gap, draw_three_spectra
from spectral_edge.store import Claims, Numbers, make_folder, write_atomically

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["write_decision", "write_report"]


def write_report(claims: Claims | None, numbers: Numbers, analyses: Sequence[Analysis], out: Path) -> Path:
    """Write ``report.html``, ``figures/*.{png,pdf}`` and ``tables/*.{csv,md,tex}`` into ``out``.

    The answers come first, with the excess of every claim over every null beside Figure 1 and the place of these runs'
    numbers among the stored ones; then a section a claim. Figures of runs show one a task: with weight decay before
    without, the paper's seed before others. A figure whose arrays are not stored is left out and the page says so;
    equal inputs give equal files, byte for byte.

    Args:
        claims: the answers; ``None`` for runs that are only analysed.
        numbers: further numbers, runs and environment to print.
        analyses: the runs to draw, each with its stored arrays; may be empty or miss any array.
        out: directory to write into, created if absent; files of an earlier report are replaced.

    Returns:
        The path of ``report.html``: one file that loads nothing from outside itself.
    """
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        make_folder(folder)
    runs = representatives(analyses)
    drawings = [
        *([draw_forest(claims.answers)] if claims else []),
        draw_spectra(runs),
        *([draw_placed(claims.placed)] if claims else []),
        draw_modes(runs),
        draw_characters(runs),
    ]
    training = [draw_training(runs, stride) for stride in STRIDES]
    sections = [(section, _of_claim(section.claim, numbers, analyses)) for section in claim_sections(claims, numbers)]
    for drawing in (*drawings, *training, *(one for _, found in sections for one in found)):
        save(drawing, figures)
    _write_tables(claims, numbers, tables)
    illustrated = [(section, [illustrate(drawing, figures) for drawing in found]) for section, found in sections]
    about_all = [*(illustrate(drawing, figures) for drawing in drawings), _training(runs, training)]
    page = out / "report.html"
    write_atomically(page, render_page(claims, numbers, illustrated, about_all).encode())
    return page


def write_decision(claims: Claims, out: Path) -> list[Path]:
    """Draw the decision's own document into ``out/figures``: answers, each excess, weight decay, other settings.

    Returns:
        The PNG files.
    """
    folder = out / "figures"
    make_folder(folder)
    drawings = (
        draw_answers(claims.answers),
        draw_forest(claims.answers),
        draw_decay(claims.curves, claims.parts),
        draw_sensitivity(claims.sensitivity, claims.derivative_errors),
    )
    return [path for drawing in drawings for path in save(drawing, folder) if path.suffix == ".png"]


def _of_claim(claim: str, numbers: Numbers, analyses: Sequence[Analysis]) -> list[Drawing]:
    """The figures of a claim's section: its further numbers, and what else is stored of it."""
    rows = [row for row in numbers.rows if row.claim == claim]
    if not rows:
        return []
    drawings = [draw_dots(claim, lines_of(rows))]
    if claim == "C1":
        drawings.append(draw_gap(analyses, rows))
    if claim == "C2":
        drawings.append(draw_three_spectra(representatives(analyses)))
    return drawings


def _write_tables(claims: Claims | None, numbers: Numbers, folder: Path) -> None:
    runs_frame(numbers.runs).write_csv(folder / "runs.csv")
    (folder / "findings.md").write_text(findings_markdown(claims, numbers), encoding="utf-8")
    if numbers.rows:
        numbers_frame(numbers.rows).write_csv(folder / "numbers.csv")
    if claims:
        evidence_frame(claims.rows).write_csv(folder / "evidence.csv")
        answers_frame(claims.answers).write_csv(folder / "answers.csv")
        (folder / "answers.md").write_text(answers_table(claims.answers), encoding="utf-8")
        (folder / "answers.tex").write_text(answers_latex(claims.answers), encoding="ascii")


def _training(runs: dict[str, Analysis], static: list[Drawing]) -> Illustration:
    """Return the interactive figure that stands on the page for the static one of each stride."""
    plots = tuple(interactive_training(runs))
    spectra = {stride: [stored_spectrum(run, stride) for run in runs.values()] for stride in STRIDES}
    strides = [stride for stride, found in spectra.items() if any(one is not None for one in found)]
    return Illustration(
        "training",
        "Spectrum over training",
        training_caption(strides, stored_windows(one for found in spectra.values() for one in found)),
        None,
        0,
        plots,
        tuple(plot.source for plot in plots),
        tuple(note for drawing in static for note in drawing.notes),
    )
