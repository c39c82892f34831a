"""Singular values, gaps and accuracy over training: one static figure per stride."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import DASH, operation
from spectral_edge.report.selection import run_source

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["STRIDES", "Spectrum", "draw_training", "stored_spectrum", "stored_windows", "training_caption"]

STRIDES = (100, 1)


@dataclass(frozen=True)
class Spectrum:
    """Leading singular values over training and the two gaps drawn from them; undefined gaps are NaN."""

    steps: np.ndarray
    singular_values: np.ndarray
    eigengap: np.ndarray
    gap_ratio: np.ndarray
    window: int


def stored_spectrum(run: Analysis, stride: int) -> Spectrum | None:
    """Return the run's stored spectrum at ``stride``, or ``None`` where it has none."""
    steps = run.arrays.get(f"spectrum.stride{stride}.steps")
    values = run.arrays.get(f"spectrum.stride{stride}.singular_values")
    if steps is None or values is None or len(steps) == 0 or values.shape[1] < 3:
        return None
    exact = values.astype(np.float64)
    eigengap = exact[:, 1] ** 2 - exact[:, 2] ** 2
    ratio = np.divide(exact[:, 0], exact[:, 1], out=np.full(len(exact), np.nan), where=exact[:, 1] > 0)
    # The logarithmic axis has no place for a closed gap.
    return Spectrum(steps, values[:, :5], np.where(eigengap > 0, eigengap, np.nan), ratio, values.shape[1])


def stored_windows(spectra: Iterable[Spectrum | None]) -> str:
    """Return the window lengths that occur, in words."""
    windows = {spectrum.window for spectrum in spectra if spectrum is not None}
    return " or ".join(str(window) for window in sorted(windows)) or DASH


def training_caption(strides: Sequence[int], window: str) -> str:
    """Return the caption shared by the static and the interactive figure, whose buttons choose among strides."""
    apart = " or ".join(map(str, strides)) + (" optimizer step" if list(strides) == [1] else " optimizer steps")
    choice = " (choose above each plot)" if len(strides) > 1 else ""
    return (
        "Train and test accuracy, singular values σ₁…σ₅ of the window of updates, eigenvalue gap "
        f"g₂₃ = σ₂² − σ₃² and ratio σ₁/σ₂ over training; updates {apart} apart{choice}, window of {window}, "
        "uncentred, plotted at the last step of each window. Logarithmic axes for σ and g₂₃. Vertical line: "
        "the step at which the run grokked, where it did."
    )


def draw_training(runs: Mapping[str, Analysis], stride: int) -> Drawing:
    """Draw accuracy, singular values and gaps over training, one column per task."""
    spectra = {task: stored_spectrum(run, stride) for task, run in runs.items()}
    drawn = {task: spectrum for task, spectrum in spectra.items() if spectrum is not None}
    return Drawing(
        f"training_stride{stride}",
        f"Spectrum over training, stride {stride}",
        training_caption([stride], stored_windows(drawn.values())),
        _figure(runs, drawn) if drawn else None,
        tuple(run_source(runs[task]) for task in drawn),
        tuple(f"{task}: no stored spectrum at stride {stride}" for task in runs if task not in drawn),
    )


def _figure(runs: Mapping[str, Analysis], drawn: Mapping[str, Spectrum]) -> Figure:
    with style():
        figure = Figure(figsize=(max(3.2 * len(drawn), 6.0), 8.2), layout="constrained")
        grid = figure.subplots(4, len(drawn), squeeze=False, sharex="col")
        for column, (task, spectrum) in enumerate(drawn.items()):
            _draw_accuracy(grid[0, column], runs[task])
            _draw_singular_values(grid[1, column], spectrum)
            _draw_gaps(grid[2, column], grid[3, column], spectrum)
            grid[0, column].set_title(plain(operation(task)))
            grid[3, column].set_xlabel("optimizer step")
            for axes in grid[:, column]:
                _mark_grokking(axes, runs[task].summary.grok_step)
        labels = ("accuracy", "singular value σ", "g₂₃ = σ₂² − σ₃²", "σ₁ / σ₂")
        for axes, label in zip(grid[:, 0], labels, strict=True):
            axes.set_ylabel(label)
        figure.align_ylabels(grid[:, 0])
        handles = [*grid[0, 0].get_lines()[:2], *grid[1, 0].get_lines()[:5]]
        figure.legend(handles=handles, loc="outside upper center", ncols=7 if len(drawn) > 2 else 4, handlelength=3.2)
        return settle(figure)


def _draw_accuracy(axes: Axes, run: Analysis) -> None:
    for name, series in (("train", SERIES[1]), ("test", SERIES[0])):
        empty = np.zeros(0)
        accuracy = run.arrays.get(f"metrics.{name}_accuracy", empty)
        steps = run.arrays.get("metrics.step", empty)[: len(accuracy)]
        axes.plot(steps, accuracy, color=series.colour, linestyle=series.line, label=f"{name} accuracy")
    axes.set_ylim(-0.03, 1.05)


def _draw_singular_values(axes: Axes, spectrum: Spectrum) -> None:
    for index, series in enumerate(SERIES[: spectrum.singular_values.shape[1]]):
        axes.plot(
            spectrum.steps,
            spectrum.singular_values[:, index],
            color=series.colour,
            linestyle=series.line,
            linewidth=_line_width(spectrum),
            label=f"σ{index + 1}",
        )
    axes.set_yscale("log")


def _line_width(spectrum: Spectrum) -> float:
    # Hundreds of noisy points an inch close up into a solid block at the usual width.
    return 1.3 if len(spectrum.steps) < 300 else 0.6


def _draw_gaps(eigengap: Axes, ratio: Axes, spectrum: Spectrum) -> None:
    eigengap.plot(spectrum.steps, spectrum.eigengap, color=INK, linewidth=_line_width(spectrum))
    if np.isfinite(spectrum.eigengap).any():
        eigengap.set_yscale("log")
    ratio.plot(spectrum.steps, spectrum.gap_ratio, color=INK, linewidth=_line_width(spectrum))
    ratio.axhline(1, color=GREY, lw=0.7)


def _mark_grokking(axes: Axes, grok_step: int | None) -> None:
    if grok_step is not None:
        axes.axvline(grok_step, color=GREY, lw=1, ls=(0, (1, 2)))
