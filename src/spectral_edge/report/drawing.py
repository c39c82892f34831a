"""The figures' common look, and the three formats in which a finished figure leaves the program."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

__all__ = [
    "CELL_COLOURS",
    "GREY",
    "INK",
    "SERIES",
    "Drawing",
    "Series",
    "data_uri",
    "hide",
    "plain",
    "save",
    "settle",
    "style",
]

INK = "#222222"
_DPI = 160
GREY = "#8a8a8a"
# Cividis is even in lightness and reads in grey; 64 steps of it fit a palette beside the greys.
CELL_COLOURS = colormaps["cividis"].resampled(64).with_extremes(bad="#c9c9c9")


@dataclass(frozen=True)
class Series:
    """Colour, line and marker of one series: told apart in grey by the last two."""

    colour: str
    line: str | tuple[int, tuple[float, float]]
    dash: str
    marker: str


# Okabe and Ito's palette, ordered so that neighbours also differ in lightness.
SERIES = (
    Series("#0072B2", "-", "solid", "o"),
    Series("#D55E00", "--", "dash", "s"),
    Series("#009E73", ":", "dot", "^"),
    Series("#CC79A7", "-.", "dashdot", "D"),
    Series("#E69F00", (0, (6, 1.5)), "longdash", "v"),
)

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "spectral-edge",
}

# The formats write the time of day unless told not to; equal results must give equal files.
_TIMELESS: dict[str, dict[str, None]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader needs beside it; ``figure`` is ``None`` when nothing could be drawn.

    ``sources`` names run, step and setting panel by panel; ``notes`` says what is missing and why; ``cells``
    marks a figure made of images.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    cells: bool = False


@contextmanager
def style() -> Iterator[None]:
    """Apply the report's matplotlib settings, whatever the user's own are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        parameters: Any = matplotlib.rcParams
        parameters.update(_STYLE)
        yield


def plain(text: str) -> str:
    """Return ``text`` so that matplotlib shows it as it is, never as mathematics."""
    return text.replace("$", r"\$")


def settle(figure: Figure) -> Figure:
    """Lay the figure out once, so that saving it in three formats does not solve the layout three times.

    Text is wider at some resolutions than at others, so it is laid out at that of the files.
    """
    figure.set_dpi(_DPI)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # The solver's last digits hang on memory addresses, and the identifiers in an SVG are hashes of all digits.
        axes.set_position(Bbox(axes.get_position(original=True).get_points().round(6)))
    return figure


def hide(axes: Axes) -> None:
    """Blank an unused cell of a grid while keeping its place."""
    axes.set_axis_off()


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write the figure as PNG and PDF into ``folder`` and return the paths; nothing if it is empty."""
    if drawing.figure is None:
        return []
    paths = [folder / f"{drawing.name}.{kind}" for kind in ("png", "pdf")]
    for path in paths:
        path.write_bytes(_rendered(drawing.figure, path.suffix[1:]))
    return paths


def data_uri(drawing: Drawing, folder: Path) -> str | None:
    """Return the figure, already saved in ``folder``, as a data URI.

    Lines become SVG, sharp at any zoom. Images of ten thousand noisy cells would make it four times the
    size of the palette PNG that stands for them.
    """
    if drawing.figure is None:
        return None
    if not drawing.cells:
        return _svg_uri(_rendered(drawing.figure, "svg").decode("utf-8"))
    with Image.open(folder / f"{drawing.name}.png") as image:
        buffer = io.BytesIO()
        reduced = image.convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE)
        reduced.save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + _base64(buffer.getvalue())


def _svg_uri(svg: str) -> str:
    """Return the SVG as a data URI of a quarter less than base64, with no character that means anything to HTML."""
    bare = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<\?xml.*?\?>|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen; below 1 a number may be a scale, which has to be exact.
    rounded = re.sub(r"\b([1-9]\d*\.\d\d)\d+", r"\1", bare)
    one_line = re.sub(r"\s*\n\s*", " ", rounded).replace("> <", "><").strip()
    return "data:image/svg+xml," + quote(one_line.replace('"', "'"), safe=" =:/;,.'()-_+!*@?$[]|")


def _palette() -> Image.Image:
    """Return the colours of the cells and a ramp of greys; a palette fitted to the image loses rare peaks."""
    # Few enough greys that Pillow's approximate matching keeps white white.
    greys = np.linspace(0, 1, 32)[:, None].repeat(3, axis=1)
    colours = np.vstack([CELL_COLOURS(np.arange(CELL_COLOURS.N))[:, :3], greys])
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * colours).round().astype(int).ravel().tolist())
    return palette


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_TIMELESS[kind])
    return buffer.getvalue()
