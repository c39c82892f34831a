"""C1 and C2 over training: the eigengap of runs that grokked and of controls, and three spectra of the same runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_edge.replication.spectra.run_contrast import ContrastRun, matched_step
from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, Series, plain, settle, style
from spectral_edge.report.formatting import number, operation, plural
from spectral_edge.report.selection import run_source
from spectral_edge.statistics import roc_curve
from spectral_edge.store.results import ClaimRow, RunSummary

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["draw_gap", "draw_three_spectra"]

_GAP = "spectra.w10.stride100."
_EDGE = "spectra.w20.stride100."
_KINDS = {
    "grokked": SERIES[0],
    "did not, operation that others grok": SERIES[1],
    "did not, operation that none groks": Series(GREY, (0, (1, 1.2)), "dot", "^"),
}
_RATIOS = {"g23_decline": SERIES[0], "update_norm_decline": SERIES[1]}
_GAP_CAPTION = (
    "Left and middle: eigengap g₂₃ = σ₂² − σ₃² and mean squared norm of an update (window 10, stride 100, uncentred), "
    "each divided by its first value, one line a run. Step 0 is where a run grokked; for a run that did not, the grok "
    "step of its nearest relative that did (same operation and seed, else same operation, else all). Right: how well "
    "the decline up to there or, for controls, to the last window tells runs that grokked from the others; areas under "
    "the curves are those of the table."
)
_SPECTRA_CAPTION = (
    "The three spectra of one run an operation: ratio σ₁/σ₂ and eigengap g₂₃ of the window of 20 updates (stride 100, "
    "uncentred); σ₁/σ₂ of all displacements θ_t − θ_0 so far; σ₁/σ₂ of the weight matrices W_Q and W_K, geometric mean "
    "over layers. Logarithmic axis for g₂₃. Vertical line: the step at which the run grokked."
)


def draw_gap(analyses: Sequence[Analysis], rows: Sequence[ClaimRow]) -> Drawing:
    """Draw g23 and the update norm over training, aligned at the grok step, and the ROC curves of their declines."""
    runs = ContrastRun.all_of(analyses, f"{_GAP}g23")
    aligned = [(run, end) for run in runs if (end := matched_step(run, runs, "grok_step")) is not None]
    return Drawing(
        "gap_C1",
        "C1: the gap over training, and what its decline tells",
        _GAP_CAPTION,
        _gap_figure(aligned, rows, [run.summary for run in runs]) if aligned else None,
        (f"{plural(len(aligned), 'run')} of weight decay {_decays(aligned)}",) if aligned else (),
        () if aligned else ("C1: no stored g₂₃ over training of a run that grokked",),
    )


def _decays(aligned: Sequence[tuple[ContrastRun, int]]) -> str:
    return " and ".join(number(decay) for decay in sorted({run.summary.weight_decay for run, _ in aligned}))


def _gap_figure(
    aligned: list[tuple[ContrastRun, int]], rows: Sequence[ClaimRow], summaries: Sequence[RunSummary]
) -> Figure:
    grokking = {run.summary.task for run, _ in aligned if run.grokked}
    with style():
        figure = Figure(figsize=(12, 3.9), layout="constrained")
        gap, norm, curve = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 0.9))
        for name, axes, label in (("g23", gap, "g₂₃ / its first value"), ("update_norm", norm, "‖δθ‖² / first value")):
            # Controls go behind: there are more of them.
            for run, end in sorted(aligned, key=lambda pair: pair[0].grokked):
                series = _KINDS[_kind(run, grokking)]
                steps, values = run.arrays[f"{_GAP}steps"] - end, _relative(run.arrays[f"{_GAP}{name}"])
                axes.plot(steps, values, color=series.colour, ls=series.line, lw=0.9, alpha=0.7)
            axes.axvline(0, color=INK, lw=0.8)
            axes.set(ylabel=label, xlabel="optimizer steps after grokking")
        gap.set_yscale("log")
        norm.set_ylim(bottom=0)
        _draw_roc(curve, rows, summaries)
        lines = [
            gap.plot([], [], color=series.colour, ls=series.line, label=kind)[0] for kind, series in _KINDS.items()
        ]
        figure.legend(handles=lines, loc="outside lower left", ncols=3, handlelength=3)
        return settle(figure)


def _kind(run: ContrastRun, grokking: set[str]) -> str:
    grokked, others, none = _KINDS
    return grokked if run.grokked else others if run.summary.task in grokking else none


def _relative(values: np.ndarray) -> np.ndarray:
    """Values over the first; what a logarithmic axis has no place for is left out."""
    first = values[0] if len(values) and values[0] > 0 else np.nan
    return np.where(values > 0, values / first, np.nan)


def _draw_roc(axes: Axes, rows: Sequence[ClaimRow], summaries: Sequence[RunSummary]) -> None:
    grokked = {summary.run_id: summary.stop_step is not None for summary in summaries}
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 2)))
    for statistic, series in _RATIOS.items():
        of_kind: dict[bool, list[float]] = {True: [], False: []}
        for row in rows:
            if (row.statistic, row.window, row.stride) == (statistic, 10, 100) and row.run_id in grokked:
                of_kind[grokked[row.run_id]].append(row.measured)
        positive, negative = of_kind[True], of_kind[False]
        if not positive or not negative:
            continue
        wanted = ("auc", statistic, 10, 100)
        auc = next((r for r in rows if (r.statistic, r.grouping, r.window, r.stride) == wanted), None)
        name = f"{statistic.replace('_', ' ')}{'' if auc is None else f': area {auc.measured:.2f}'}"
        axes.plot(*roc_curve(positive, negative), color=series.colour, ls=series.line, lw=1.8, label=plain(name))
    axes.set(xlabel="share of the other runs", ylabel="share of runs that grokked", xlim=(-0.02, 1.02), aspect="equal")
    axes.set_ylim(-0.02, 1.02)
    if len(axes.get_lines()) > 1:
        # Above the axes: a curve may pass through any corner.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, handlelength=3)


def draw_three_spectra(runs: Mapping[str, Analysis]) -> Drawing:
    """Draw the spectra of updates, displacements and weights of one run a task over the same steps."""
    needed = (f"{_EDGE}steps", "spectra.displacement.steps", "spectra.weights.steps")
    drawn = {task: run for task, run in runs.items() if all(name in run.arrays for name in needed)}
    return Drawing(
        "spectra_C2",
        "C2: three spectra of the same runs",
        _SPECTRA_CAPTION,
        _three_figure(drawn) if drawn else None,
        tuple(run_source(run) for run in drawn.values()),
        () if drawn else ("C2: no stored spectra of updates, displacements and weights",),
    )


def _three_figure(drawn: Mapping[str, Analysis]) -> Figure:
    labels = ("updates: σ₁/σ₂", "updates: g₂₃", "displacements: σ₁/σ₂", "weights: σ₁/σ₂")
    with style():
        figure = Figure(figsize=(min(max(3.0 * len(drawn), 5.0), 13), 7.4), layout="constrained")
        grid = figure.subplots(4, len(drawn), squeeze=False, sharex="col", sharey="row")
        for column, (task, run) in enumerate(drawn.items()):
            grid[0, column].set_title(plain(operation(task)))
            for axes, curves in zip(grid[:, column], _curves(run.arrays), strict=True):
                for index, (name, steps, values) in enumerate(curves):
                    series = SERIES[index]
                    axes.plot(steps, values, color=series.colour, ls=series.line, label=name)
                if run.summary.grok_step is not None:
                    axes.axvline(run.summary.grok_step, color=GREY, lw=1, ls=(0, (1, 2)))
            grid[1, column].set_yscale("log")
            grid[3, column].set_xlabel("optimizer step")
        for axes, label in zip(grid[:, 0], labels, strict=True):
            axes.set_ylabel(label)
        grid[3, 0].legend(loc="upper left", fontsize=8)
        figure.align_ylabels(grid[:, 0])
        return settle(figure)


def _curves(arrays: Mapping[str, np.ndarray]) -> list[list[tuple[str, np.ndarray, np.ndarray]]]:
    """What each row of axes shows: name, steps and values of its lines."""
    steps = arrays[f"{_EDGE}steps"]
    displaced = arrays["spectra.displacement.singular_values"]
    # A single displacement has no second direction.
    displacement = arrays["spectra.displacement.steps"][1:], displaced[1:, 0] / displaced[1:, 1]
    weights = [(name, arrays["spectra.weights.steps"], _weight_ratio(arrays, name)) for name in ("W_Q", "W_K")]
    return [
        [("", steps, arrays[f"{_EDGE}gap_ratio"])],
        [("", steps, np.where(arrays[f"{_EDGE}g23"] > 0, arrays[f"{_EDGE}g23"], np.nan))],
        [("", *displacement)],
        weights,
    ]


def _weight_ratio(arrays: Mapping[str, np.ndarray], letter: str) -> np.ndarray:
    names = [name for name in arrays if name.startswith("spectra.weights.") and f".{letter}.singular" in name]
    ratios = [np.log(arrays[name][:, 0] / arrays[name][:, 1]) for name in sorted(names)]
    return np.exp(np.mean(ratios, axis=0))
