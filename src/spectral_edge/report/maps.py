"""Functional modes as images: f over the (a, b) grid, and its signed 2-D spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spectral_edge.report.drawing import CELL_COLOURS, Drawing, hide, plain, settle, style
from spectral_edge.report.formatting import operation, subscript
from spectral_edge.report.selection import character_checkpoint, coordinate_names, latest_checkpoint, source

if TYPE_CHECKING:
    from matplotlib.image import AxesImage

    from spectral_edge.store.analysis import Analysis

__all__ = ["draw_characters", "draw_modes"]

_BAR: dict[str, Any] = {"pad": 0.01, "shrink": 0.9}
_FLOOR = 1e-5
_POWER = LogNorm(_FLOOR, 0.03)
_MODES_CAPTION = (
    "Functional modes f₁, f₂, f₃ over the whole domain of inputs (a, b), and f of one random direction; each "
    "image is divided by its own mean, and a row shares one scale that ends at the row's 99 % quantile. "
    "Grey: inputs on which the task is undefined. Stripes along a + b = const or a − b = const mean a "
    "function of the sum or the difference; horizontal or vertical stripes, a function of one input alone."
)
_CHARACTERS_CAPTION = (
    "Share of the power of f₁, f₂, f₃ (and of one random direction) at each pair of signed frequencies (ω_a, ω_b), "
    "constant left out, logarithmic scale common to all panels. In additive coordinates the rising diagonal "
    "ω_a = ω_b holds the functions of a + b, the falling one those of a − b, the axes those of one input "
    "alone; in discrete-log and Gaussian coordinates the same holds for the transformed inputs. Titles name "
    "the strongest pair, ringed (f is real, so (−ω_a, −ω_b) has the same share)."
)


def draw_modes(runs: Mapping[str, Analysis]) -> Drawing:
    """Draw f1…f3 and a random direction's f over (a, b), one row per task."""
    found = {task: latest_checkpoint(run, "energy") for task, run in runs.items()}
    drawn = {task: checkpoint for task, checkpoint in found.items() if checkpoint is not None}
    return Drawing(
        "modes",
        "Functional modes over the inputs",
        _MODES_CAPTION,
        _modes_figure(runs, drawn) if drawn else None,
        tuple(source(runs[task], checkpoint) for task, checkpoint in drawn.items()),
        tuple(f"{task}: no stored functional modes" for task in runs if task not in drawn),
        cells=True,
    )


def _modes_figure(runs: Mapping[str, Analysis], drawn: Mapping[str, str]) -> Figure:
    with style():
        figure = Figure(figsize=(12, 2.85 * len(drawn) + 0.4), layout="constrained")
        grid = figure.subplots(len(drawn), 4, squeeze=False)
        for cells, (task, checkpoint) in zip(grid, drawn.items(), strict=True):
            _draw_modes_row(figure, cells, task, _mode_images(runs[task], checkpoint))
        return settle(figure)


def _mode_images(run: Analysis, checkpoint: str) -> list[tuple[str, np.ndarray]]:
    images = [(f"f{subscript(k)}", image) for k, image in enumerate(run.arrays[f"energy.{checkpoint}"][:3], start=1)]
    random = run.arrays.get(f"energy_random.{checkpoint}")
    return images if random is None else [*images, ("random direction", random[0])]


def _draw_modes_row(figure: Figure, cells: np.ndarray, task: str, images: list[tuple[str, np.ndarray]]) -> None:
    relative = [(title, image / np.nanmean(image)) for title, image in images]
    top = float(np.nanquantile(np.stack([image for _, image in relative]), 0.99))
    drawn: AxesImage | None = None
    for axes, (title, image) in zip(cells, relative, strict=False):
        drawn = axes.imshow(image.T, origin="lower", cmap=CELL_COLOURS, vmin=0, vmax=top, interpolation="none")
        axes.set_title(plain(f"{operation(task)}: {title}"))
        axes.set_xlabel("a")
        axes.set_ylabel("b")
    for axes in cells[len(relative) :]:
        hide(axes)
    if drawn is not None:
        figure.colorbar(drawn, ax=list(cells), label="f / mean of f", extend="max", aspect=25, **_BAR)


def draw_characters(runs: Mapping[str, Analysis]) -> Drawing:
    """Draw the signed 2-D spectrum of v1 to v3 and of a random direction, one row per task and coordinate."""
    found = {task: character_checkpoint(run) for task, run in runs.items()}
    drawn = {task: checkpoint for task, checkpoint in found.items() if checkpoint is not None}
    return Drawing(
        "characters",
        "Signed two-dimensional spectra",
        _CHARACTERS_CAPTION,
        _characters_figure(runs, drawn) if drawn else None,
        tuple(source(runs[task], checkpoint) for task, checkpoint in drawn.items()),
        tuple(f"{task}: no stored 2-D spectrum" for task in runs if task not in drawn),
        cells=True,
    )


def _characters_figure(runs: Mapping[str, Analysis], drawn: Mapping[str, str]) -> Figure:
    rows = [
        (task, checkpoint, name)
        for task, checkpoint in drawn.items()
        for name in coordinate_names(runs[task], checkpoint)
    ]
    with style():
        figure = Figure(figsize=(10.2, 2.6 * len(rows) + 0.5), layout="constrained")
        grid = figure.subplots(len(rows), 4, squeeze=False)
        for cells, (task, at, name) in zip(grid, rows, strict=True):
            arrays, key = runs[task].arrays, f"{at}.{name}"
            spectra = [(f"v{k + 1}", shares) for k, shares in enumerate(arrays[f"character.{key}"][:3])]
            spectra += [("random", shares) for shares in arrays.get(f"character_random.{key}", [])[:1]]
            for axes in cells:
                hide(axes)
            for axes, (direction, shares) in zip(cells, spectra, strict=False):
                image = _draw_character(axes, shares, task, f"{direction}, {name}")
        figure.colorbar(
            image, ax=grid.ravel().tolist(), label="share of power", extend="both", aspect=45, fraction=0.02, **_BAR
        )
        return settle(figure)


def _draw_character(axes: Axes, shares: np.ndarray, task: str, title: str) -> AxesImage:
    frequencies = np.fft.fftshift(np.fft.fftfreq(len(shares), 1 / len(shares))).round().astype(int)
    centred = np.fft.fftshift(shares)
    first, signed = _strongest(shares)
    low, high = frequencies[0] - 0.5, frequencies[-1] + 0.5
    axes.set_axis_on()
    # An exact zero has no logarithm; it belongs to the darkest colour, not to "undefined".
    image = axes.imshow(
        np.maximum(centred.T, _FLOOR / 10),
        origin="lower",
        extent=(low, high, low, high),
        cmap=CELL_COLOURS,
        norm=_POWER,
        interpolation="none",
    )
    peak = f"{100 * shares[first, signed]:.1f} % at ({first}, {signed})".replace("-", "−")
    axes.set_title(plain(f"{task}: {title.replace('_', ' ')}\n{peak}"), fontsize=8)
    axes.plot([first, -first], [signed, -signed], "o", ms=9, mfc="none", mec="white", mew=1)
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_xlabel(r"$\omega_a$")
    axes.set_ylabel(r"$\omega_b$")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    return image


def _strongest(shares: np.ndarray) -> tuple[int, int]:
    """Return the signed pair with the largest share; of (ω_a, ω_b) and its negative, the one with ω_a ≥ 0."""
    order = len(shares)
    # The rows up to order // 2 hold one of each pair.
    half = shares[: order // 2 + 1]
    first, second = divmod(int(np.nanargmax(half)), order)
    return first, second if second <= order // 2 else second - order
