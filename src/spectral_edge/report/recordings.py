"""A recording of somebody's training, drawn from its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spectral_edge.parameters import layer_sizes
from spectral_edge.report.drawing import GREY, INK, SERIES, Drawing, plain, settle, style
from spectral_edge.report.formatting import subscript
from spectral_edge.store import RunCorruptError, RunDirectory

__all__ = ["draw_recording", "is_recording"]

Floats = NDArray[np.float64]

_SHOWN, _GAPS = 10, 3


def is_recording(path: Path) -> bool:
    """Whether there is a recording of ``se.watch`` at ``path``; nothing is read but its configuration."""
    return (path / "config.json").exists() and RunDirectory.open(path).config.get("kind") == "recording"


def draw_recording(lines: list[dict[str, Any]], config: dict[str, Any], place: str) -> Drawing:
    """Singular values with their noise floor, gap ratios, k* with g₂₃, and the turn of the edge, over training.

    Where the log has them, also the size of updates beside that of the weights, learning rate and loss, and in which
    layers v₁ lies, as a multiple of what a random direction has there.

    Args:
        lines: of the log, oldest first, at least one.
        config: of the recording.
        place: the log, for errors.
    """
    steps = _column(lines, "step", place)
    sigma = _rows(lines, "singular_values", _SHOWN, place)
    floor = _column(lines, "noise_floor", place)
    with style():
        watched = any(line.get("weight_norm") is not None for line in lines)
        figure = Figure(figsize=(9.2, 8.2 if watched else 5.6), layout="constrained")
        axes = figure.subplots(3 if watched else 2, 2, sharex=True)
        _draw_sigma(axes[0, 0], steps, sigma, floor)
        _draw_gaps(axes[0, 1], steps, sigma, _rows(lines, "gap_ratios", _GAPS, place), floor)
        _draw_position(axes[1, 0], steps, _column(lines, "position", place), _rows(lines, "eigengaps", _GAPS, place))
        _draw_turn(axes[1, 1], steps, lines, place)
        if watched:
            _draw_sizes(axes[2, 0], steps, lines, place)
            _draw_layers(axes[2, 1], steps, lines, config, place)
        for below in axes[-1]:
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
    if watched:
        caption += (
            " Layers: share of v₁ divided by the share of the entries, which is what a random direction has; 0 on the "
            "scale is like chance, 1 is twice as much."
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
    for k in range(min(ratios.shape[1], sigma.shape[1] - 1)):
        series = SERIES[k]
        label = f"σ{subscript(k + 1)}/σ{subscript(k + 2)}"
        axes.plot(steps, ratios[:, k], color=series.colour, ls=series.line, label=label)
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


def _draw_turn(axes: Axes, steps: Floats, lines: list[dict[str, Any]], place: str) -> None:
    axes.set_title("turn of the edge since the window before")
    axes.plot(steps, _column(lines, "rotation_degrees", place), color=SERIES[0].colour, marker=".", ms=3)
    axes.set_ylabel("rotation of v₁, degrees", color=SERIES[0].colour)
    axes.set_ylim(0, 92)
    other = axes.twinx()
    other.plot(
        steps, _column(lines, "drift", place), color=SERIES[1].colour, ls=SERIES[1].line, label="drift of v₁ … v₃"
    )
    decay = _column(lines, "decay_share", place) if "decay_share" in lines[0] else np.array([np.nan])
    if np.isfinite(decay).any():
        other.plot(steps, decay, color=SERIES[2].colour, ls=SERIES[2].line, label="decay share of v₁")
        other.legend(loc="best")
    else:
        other.set_ylabel("drift of v₁ … v₃", color=SERIES[1].colour)
    other.set_ylim(0, 1.02)
    other.spines["right"].set_visible(True)


def _draw_sizes(axes: Axes, steps: Floats, lines: list[dict[str, Any]], place: str) -> None:
    """Length of updates over that of the weights, and the loss if it was noted, else the learning rate."""
    axes.set_title("updates beside the weights")
    ratio = _column(lines, "update_norm", place) / _column(lines, "weight_norm", place)
    axes.plot(steps, ratio, color=SERIES[0].colour, marker=".", ms=3)
    axes.set_yscale("log")
    axes.set_ylabel("|update| / |θ|", color=SERIES[0].colour)
    noted = [line["noted"] if isinstance(line.get("noted"), dict) else {} for line in lines]
    name, values = "loss", _array([known.get("loss") for known in noted], "loss", place)
    if not np.isfinite(values).any():
        name, values = "learning rate", _column(lines, "learning_rate", place)
    other = axes.twinx()
    other.plot(steps, values, color=SERIES[1].colour, ls=SERIES[1].line)
    other.set_ylabel(name, color=SERIES[1].colour)
    other.spines["right"].set_visible(True)


def _draw_layers(axes: Axes, steps: Floats, lines: list[dict[str, Any]], config: dict[str, Any], place: str) -> None:
    axes.set_title("where v₁ lies, log₂ of share over share of entries")
    shares = [share for line in lines if isinstance(share := line.get("layer_shares"), dict)]
    shapes = config.get("parameters")
    if not isinstance(shapes, dict) or len(shares) < len(lines):
        why = "not known of sketches, shards and adapters"
        axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])
        return
    null = layer_sizes(shapes)
    table = np.stack([_array([share.get(layer) for layer in null], "layer_shares", place) for share in shares], axis=1)
    with np.errstate(divide="ignore"):
        excess = np.log2(table / np.array(list(null.values()))[:, None])
    edges = np.append(2 * steps[0] - steps[1] if len(steps) > 1 else 0.0, steps)  # a line is of the steps before it
    image = axes.pcolormesh(edges, np.arange(len(null) + 1), excess, cmap="RdBu_r", vmin=-3, vmax=3)
    every = max(1, len(null) // 8)
    axes.set_yticks(np.arange(len(null))[::every] + 0.5, list(null)[::every], fontsize=7)
    axes.invert_yaxis()
    axes.figure.colorbar(image, ax=axes, pad=0.02)


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
    except (TypeError, ValueError, OverflowError):
        raise RunCorruptError(f"{place}: {key!r} is not a number in each line. It was damaged or edited.") from None
