"""Training as a film: f_k at every snapshot, exported as one animated image or one page."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spectral_edge.bases import CoordinateSystem, to_grid
from spectral_edge.report import thinned
from spectral_edge.serve.explorer import Explorer
from spectral_edge.serve.spectra import SpectrumChoice

__all__ = ["Film", "animated_png", "film_page"]

Floats = NDArray[np.float64]

MOST_FRAMES = 120
"""Frames of an export at most: more are thinned evenly, the last one kept."""
_PIXELS = 4
_CAPTION = 22
_MILLISECONDS = 160
# f over its mean: the scale of all frames, so that what grows is seen to grow.
_BRIGHTEST = 3.0


@dataclass(frozen=True)
class Film:
    """What a film shows.

    Attributes:
        name: of the run.
        choice: of the window at each step.
        k: which direction, 1 to 3.
        coordinates: of the two axes.
    """

    name: str
    choice: SpectrumChoice
    k: int
    coordinates: CoordinateSystem

    def steps(self, explorer: Explorer) -> list[int]:
        """Steps at which the run keeps such a window."""
        run = explorer.run(self.name)
        known = set(run.run.snapshot_steps())
        needed = [back * self.choice.stride for back in range(self.choice.window + 1)]
        return [step for step in sorted(known) if all(step - back in known for back in needed)]

    def frame(self, explorer: Explorer, step: int) -> Floats:
        """f_k over its mean at one step, (M, M), NaN where the task has no such pair."""
        values = explorer.frame(self.name, step, self.choice, self.k)
        task = explorer.run(self.name).task
        return to_grid(values / values.mean(), task.pairs, task.p, self.coordinates)[0]

    def frames(self, explorer: Explorer) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
        """(step, test accuracy, (M, M) levels 0 … 254, 255 where there is no pair) for an export."""
        accuracy = {line["step"]: line.get("test_accuracy") for line in explorer.run(self.name).metrics}
        steps = self.steps(explorer)
        if not steps:
            raise ValueError(
                f"{self.name}: no step keeps a window of {self.choice.window} updates of stride {self.choice.stride}; "
                "choose a smaller window"
            )
        for step in thinned(steps, MOST_FRAMES):
            grid = self.frame(explorer, step)
            levels = np.clip(grid / _BRIGHTEST, 0, 1) * 254
            yield (
                step,
                _known(accuracy.get(step)),
                np.where(np.isnan(grid), 255, np.nan_to_num(levels)).astype(np.uint8),
            )

    @property
    def about(self) -> str:
        """A line for captions."""
        c = self.choice
        centred = "centred" if c.centered else "not centred"
        return f"{self.name}: f_{self.k}, window {c.window}, stride {c.stride}, {centred}"


def animated_png(film: Film, explorer: Explorer) -> bytes:
    """The film as an animated PNG, six frames a second."""
    pages = []
    for step, accuracy, levels in film.frames(explorer):
        picture = Image.fromarray(_palette()[levels.T[::-1]]).resize(
            (levels.shape[1] * _PIXELS, levels.shape[0] * _PIXELS), Image.Resampling.NEAREST
        )
        page = Image.new("RGB", (picture.width, picture.height + _CAPTION), "white")
        page.paste(picture, (0, _CAPTION))
        ImageDraw.Draw(page).text((4, 4), f"step {step}   test accuracy {accuracy:.3f}", fill="black")
        pages.append(page)
    out = io.BytesIO()
    pages[0].save(
        out, format="PNG", save_all=True, append_images=pages[1:], duration=_MILLISECONDS, loop=0, optimize=True
    )
    return out.getvalue()


def film_page(film: Film, explorer: Explorer) -> str:
    """The film as one HTML file that loads nothing from outside itself."""
    frames: list[dict[str, Any]] = []
    size = 0
    for step, accuracy, levels in film.frames(explorer):
        size = len(levels)
        shown = None if np.isnan(accuracy) else round(accuracy, 4)
        frames.append({"step": step, "accuracy": shown, "levels": base64.b64encode(levels.tobytes()).decode()})
    data = {
        "about": film.about,
        "size": size,
        "coordinates": film.coordinates,
        "milliseconds": _MILLISECONDS,
        "palette": _palette().tolist(),
        "frames": frames,
    }
    # No character of the data can end the script element.
    text = json.dumps(data).replace("<", "\\u003c")
    page = files("spectral_edge.serve").joinpath("static/film_export.html").read_text(encoding="utf-8")
    return page.replace("/*DATA*/null", text)


def _known(accuracy: float | None) -> float:
    return float("nan") if accuracy is None else accuracy


def _palette() -> NDArray[np.uint8]:
    colours = (colormaps["cividis"](np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)
    return np.concatenate([colours, np.array([[201, 201, 201]], dtype=np.uint8)])
