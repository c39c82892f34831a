"""The page of one recording: its spectrum over training, what was watched beside it, and the modes that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spectral_edge.report.drawing import Drawing, plain, save, settle, style
from spectral_edge.report.formatting import number, plural, subscript
from spectral_edge.report.page import environment, illustrate
from spectral_edge.report.recordings import draw_recording
from spectral_edge.report.selection import thinned
from spectral_edge.store import KeptModes, Labels, RunDirectory, RunMissingError, make_folder, write_atomically

__all__ = ["recording_page", "write_recording_report"]

Floats = NDArray[np.float64]

# So many inputs, sequences and modes a page shows; the run directory has them all.
_INPUTS, _TEXTS, _FILM = 12, 16, 60
_NAMED, _LETTERS = 20, 24


@dataclass(frozen=True)
class Token:
    """One token of a text, with how far a direction moves what was looked at there."""

    text: str
    value: float | None  # None where nothing was looked at
    shade: float  # 0 to 1


@dataclass(frozen=True)
class Direction:
    """What v_k does to the inputs, at the end of the last window whose modes were kept."""

    k: int
    inputs: tuple[tuple[str, str], ...]  # those that it moves most, with f_k as a share of its sum
    texts: tuple[tuple[Token, ...], ...]


def write_recording_report(path: Path, out: Path) -> Path:
    """Write ``report.html``, and its figures as PNG and PDF, for a recording into ``out``; returns the page.

    Raises:
        StoreError: nothing is logged yet, or something is damaged.
    """
    page = recording_page(path, out / "figures")
    write_atomically(out / "report.html", page.encode())
    return out / "report.html"


def recording_page(path: Path, folder: Path) -> str:
    """The page of a recording as one HTML document that loads nothing from outside itself.

    Args:
        path: the run directory.
        folder: where figures are written, as PNG and PDF.

    Raises:
        StoreError: nothing is logged yet, or something is damaged.
    """
    run = RunDirectory.open(path)
    lines = run.metrics()
    if not lines:
        raise RunMissingError(f"{path}: no window is full yet, so nothing is logged. Wait, or record more often.")
    modes = [run.read_modes(step) for step in thinned(run.mode_steps(), _FILM)]
    make_folder(folder)
    drawings = [draw_recording(lines, run.config, str(path / "metrics.jsonl"))]
    if modes:
        drawings.append(draw_film(modes, _about(path.resolve().name, run.config, modes)))
    for drawing in drawings:
        save(drawing, folder)
    return (
        environment()
        .get_template("recording.html.j2")
        .render(
            name=path.resolve().name,
            setting=_setting(run.config),
            state=run.status.get("state", ""),
            values=_values(lines[-1]),
            figures=[illustrate(drawing, folder) for drawing in drawings],
            directions=_directions(modes[-1]) if modes else [],
            modes_step=modes[-1].step if modes else None,
        )
    )


def draw_film(modes: Sequence[KeptModes], about: str) -> Drawing:
    """Each input's share of f_k over training, one panel a direction; ``about`` names run, window and steps."""
    k = min(len(kept.energy) for kept in modes)
    n = min(kept.energy.shape[1] for kept in modes)
    shares = np.stack([_shares(kept.energy[:k, :n].numpy()) for kept in modes])  # (steps, k, n)
    with style():
        figure = Figure(figsize=(9.2, 1.4 + 0.17 * max(10, min(n, _NAMED))), layout="constrained")
        panels = figure.subplots(1, k, sharey=True, squeeze=False)[0]
        order = np.argsort(shares[-1, 0])[::-1]
        edges = np.arange(len(modes) + 1) - 0.5
        for row, axes in enumerate(panels):
            values = n * shares[:, row, order].T
            image = axes.pcolormesh(edges, np.arange(n + 1) - 0.5, values, vmin=0, vmax=4, rasterized=True)
            axes.set_title(f"f{subscript(row + 1)}")
            shown = np.unique(np.linspace(0, len(modes) - 1, 4).round().astype(int))
            axes.set_xticks(shown, [str(modes[i].step) for i in shown])
            axes.set_xlabel("training step")
        named = np.unique(np.linspace(0, n - 1, min(n, _NAMED)).round().astype(int))
        panels[0].set_yticks(named, [plain(_short(_label(modes[-1].labels, order[i]))) for i in named])
        panels[0].set_ylabel("input, by f₁ at the end")
        panels[0].invert_yaxis()
        figure.colorbar(image, ax=list(panels), label="f / its mean", extend="max", pad=0.01)
        settle(figure)
    caption = (
        "How much each direction of a window moves each input, at the weights of the window's end, divided by its mean "
        "over the inputs. Rows keep their order, that of f₁ in the last window."
    )
    if n > _NAMED:
        caption += f" {len(named)} of {n} inputs are named."
    return Drawing("modes", "Functions over training", caption, figure, (about,), ())


def _about(name: str, config: dict[str, Any], modes: Sequence[KeptModes]) -> str:
    window = f"window of {config.get('window')} updates"
    return f"run {name}, {window}, steps {modes[0].step} to {modes[-1].step}"


def _short(label: str) -> str:
    return label if len(label) <= _LETTERS else f"{label[: _LETTERS - 1]}…"


def _directions(kept: KeptModes) -> list[Direction]:
    shares = _shares(kept.energy.numpy())
    found = []
    for row, share in enumerate(shares):
        order = np.argsort(share)[::-1][:_INPUTS]
        most = tuple((_label(kept.labels, i), f"{100 * share[i]:.1f} %") for i in order)
        found.append(Direction(row + 1, most, _texts(kept, row, order)))
    return found


def _texts(kept: KeptModes, row: int, order: NDArray[np.intp]) -> tuple[tuple[Token, ...], ...]:
    """The sequences that the direction moves most, token by token, where a response has a number for each token."""
    if kept.response is None or not kept.labels or isinstance(kept.labels[0], str):
        return ()
    response = kept.response[row].numpy()
    sizes = np.abs(response[np.isfinite(response)])
    most = float(np.quantile(sizes, 0.99)) if sizes.size else 0.0
    texts = []
    for i in order[:_TEXTS]:
        tokens = kept.labels[i]
        first = len(tokens) - response.shape[1]  # predictions begin at the second token
        if first < 0:
            return ()
        values = [None] * first + [float(v) if np.isfinite(v) else None for v in response[i]]
        texts.append(tuple(Token(t, v, _shade(v, most)) for t, v in zip(tokens, values, strict=True)))
    return tuple(texts)


def _shade(value: float | None, most: float) -> float:
    return 0.0 if value is None or most == 0 else round(min(1.0, abs(value) / most), 2)


def _shares(energy: Floats) -> Floats:
    total = energy.sum(axis=1, keepdims=True)
    return np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)


def _label(labels: Labels, i: int) -> str:
    if not labels:
        return f"input {i}"
    text = labels[i]
    return text if isinstance(text, str) else "".join(text)[:80]


def _setting(config: dict[str, Any]) -> str:
    every = config.get("every")
    parameters = config.get("parameters")
    tensors = len(parameters) if isinstance(parameters, dict) else "?"
    stride = f"of {plural(every, 'step')}" if isinstance(every, int) else "at uneven steps, as rates"
    dim = config.get("dim")
    numbers = f"{dim:,} parameters in {tensors} tensors" if isinstance(dim, int) else f"{tensors} tensors"
    window = f"windows of {config.get('window')} updates {stride}"
    return f"{config.get('model')}: {numbers}; {window}, {config.get('storage')}"


def _values(line: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and text of what is known of the last window."""
    sigma = line.get("singular_values")
    rows = [
        ("training step", line.get("step")),
        ("edge position k*", line.get("position")),
        ("σ₁, σ₂, σ₃", sigma[:3] if isinstance(sigma, list) else None),
        ("length of updates (root mean square)", line.get("update_norm")),
        ("length of the weights", line.get("weight_norm")),
        ("learning rate", line.get("learning_rate")),
        ("decay share of v₁", line.get("decay_share")),
        *(line["noted"].items() if isinstance(line.get("noted"), dict) else ()),
    ]
    return [(str(name), _text(value)) for name, value in rows if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return number(value) if isinstance(value, (int, float)) else str(value)[:80]
