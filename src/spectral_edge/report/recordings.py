"""A recording of somebody's training, drawn from its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, save, settle, style
from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError

__all__ = ["draw_recording", "is_recording", "write_recording_report"]

Floats = NDArray[np.float64]

_SHOWN, _GAPS = 10, 3


def is_recording(path: Path) -> bool:
    """Whether there is a recording of ``se.watch`` at ``path``; nothing is read but its configuration."""
    return (path / "config.json").exists() and RunDirectory.open(path).config.get("kind") == "recording"


def write_recording_report(path: Path, out: Path) -> Path:
    """Write ``figures/recording.png`` and ``.pdf`` for a recording into ``out``; returns the PNG.

    Raises:
        StoreError: nothing is logged yet, or the log is damaged.
    """
    run = RunDirectory.open(path)
    lines = run.metrics()
    if not lines:
        raise RunMissingError(f"{path}: no window is full yet, so nothing is logged. Wait, or record more often.")
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    return save(draw_recording(lines, run.config, str(path / "metrics.jsonl")), figures)[0]


def draw_recording(lines: list[dict[str, Any]], config: dict[str, Any], place: str) -> Drawing:
    """Singular values with their noise floor, gap ratios, k* with g₂₃, and the turn of the edge, over training.

    Args:
        lines: of the log, oldest first, at least one.
        config: of the recording.
        place: the log, for errors.
    """
    steps = _column(lines, "step", place)
    sigma = _rows(lines, "singular_values", _SHOWN, place)
    floor = _column(lines, "noise_floor", place)
    with style():
        figure = Figure(figsize=(9.2, 5.6), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        _draw_sigma(axes[0, 0], steps, sigma, floor)
        _draw_gaps(axes[0, 1], steps, sigma, _rows(lines, "gap_ratios", _GAPS, place), floor)
        _draw_position(axes[1, 0], steps, _column(lines, "position", place), _rows(lines, "eigengaps", _GAPS, place))
        _draw_turn(axes[1, 1], steps, _column(lines, "rotation_degrees", place), _column(lines, "drift", place))
        for below in axes[1]:
            below.set_xlabel("training step")
        window, every = config.get("window"), config.get("every")
        setting = f"{config.get('model')}, W = {window}, every {every}, uncentred, {config.get('storage')}"
        figure.suptitle(plain(setting), fontsize=9, color=GREY, x=0.01, ha="left")
        settle(figure)
    caption = (
        "Each point is one window of new updates. σ₁ is darkest; the dashed line is the noise floor of a sketch, and a "
        "gap whose smaller σ lies below it has an open mark. Rotation: angle between v₁ and that of the window before. "
        "Drift: 0 if v₁ … v₃ span the same, 1 if orthogonal."
    )
    return Drawing("recording", "Spectrum over training", caption, figure, (setting,), ())


def _draw_sigma(axes: Axes, steps: Floats, sigma: Floats, floor: Floats) -> None:
    axes.set_title("singular values σ₁ … σ₁₀")
    for k in range(sigma.shape[1]):
        axes.plot(steps, sigma[:, k], color=INK, alpha=1 - 0.08 * k, lw=1.6 if k == 0 else 0.9, marker=".", ms=3)
    if np.isfinite(floor).any():
        axes.plot(steps, floor, color=SERIES[1].colour, ls="--", label="noise floor")
        axes.legend(loc="best")
    axes.set_yscale("log")


def _draw_gaps(axes: Axes, steps: Floats, sigma: Floats, ratios: Floats, floor: Floats) -> None:
    axes.set_title("gap ratios")
    for k in range(ratios.shape[1]):
        series = SERIES[k]
        axes.plot(steps, ratios[:, k], color=series.colour, ls=series.line, label=f"σ{_SUB[k]}/σ{_SUB[k + 1]}")
        hidden = sigma[:, k + 1] < np.nan_to_num(floor)
        axes.plot(steps[~hidden], ratios[~hidden, k], series.marker, color=series.colour, ms=3.5)
        axes.plot(steps[hidden], ratios[hidden, k], series.marker, color=series.colour, ms=3.5, mfc="white")
    axes.set_ylim(bottom=1)
    axes.legend(loc="best")


def _draw_position(axes: Axes, steps: Floats, position: Floats, eigengaps: Floats) -> None:
    axes.set_title("edge position k*, and the eigengap g₂₃ = σ₂² - σ₃²")
    axes.step(steps, position, where="mid", color=SERIES[0].colour, lw=1.3)
    axes.set_ylabel("k*", color=SERIES[0].colour)
    axes.set_ylim(0.5, max(4.5, float(np.nanmax(position)) + 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if eigengaps.shape[1] > 1:
        other = axes.twinx()
        other.plot(steps, eigengaps[:, 1], color=SERIES[1].colour, ls=SERIES[1].line)
        if (eigengaps[:, 1] > 0).any():
            other.set_yscale("log")
        other.set_ylabel("g₂₃", color=SERIES[1].colour)
        other.spines["right"].set_visible(True)


def _draw_turn(axes: Axes, steps: Floats, rotation: Floats, drift: Floats) -> None:
    axes.set_title("turn of the edge since the window before")
    axes.plot(steps, rotation, color=SERIES[0].colour, marker=".", ms=3)
    axes.set_ylabel("rotation of v₁, degrees", color=SERIES[0].colour)
    axes.set_ylim(0, 92)
    other = axes.twinx()
    other.plot(steps, drift, color=SERIES[1].colour, ls=SERIES[1].line)
    other.set_ylabel("drift of v₁ … v₃", color=SERIES[1].colour)
    other.set_ylim(0, 1.02)
    other.spines["right"].set_visible(True)


_SUB = "₁₂₃₄"


def _column(lines: list[dict[str, Any]], key: str, place: str) -> Floats:
    """Numbers, NaN where the log has null."""
    return _array([line.get(key, "missing") for line in lines], key, place)


def _rows(lines: list[dict[str, Any]], key: str, width: int, place: str) -> Floats:
    """The first ``width`` numbers of each line, padded with NaN."""
    rows = [row for line in lines if isinstance(row := line.get(key), list) and row]
    if len(rows) < len(lines):
        raise RunCorruptError(f"{place}: a line has no list {key!r}. It was edited, or another program wrote it.")
    shortest = min(width, *(len(row) for row in rows))
    return np.stack([_array(row[:shortest], key, place) for row in rows])


def _array(values: list[Any], key: str, place: str) -> Floats:
    try:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        raise RunCorruptError(f"{place}: {key!r} is not a number in each line. It was damaged or edited.") from None
