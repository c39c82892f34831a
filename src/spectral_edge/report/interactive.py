"""Singular values, gaps and accuracy over training as an interactive plot, one per task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from spectral_edge.report.drawing import INK, SERIES
from spectral_edge.report.formatting import operation, subscript
from spectral_edge.report.selection import run_source
from spectral_edge.report.training import STRIDES, Spectrum, stored_spectrum

if TYPE_CHECKING:
    from spectral_edge.store.analysis import Analysis

__all__ = ["MOST_POINTS", "Plot", "interactive_training"]

MOST_POINTS = 3000
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Plot:
    """One plot as plotly's JSON, in which no character can end a script element, for the script on the page."""

    heading: str
    source: str
    json: str


def interactive_training(runs: Mapping[str, Analysis]) -> list[Plot]:
    """Return one plot per task that has a stored spectrum; buttons switch between the strides.

    Series longer than ``MOST_POINTS`` are thinned evenly: the page has to open on a laptop.
    """
    plots = []
    for task, run in runs.items():
        spectra = {stride: found for stride in STRIDES if (found := stored_spectrum(run, stride)) is not None}
        if spectra:
            plots.append(Plot(operation(task), run_source(run), _as_json(_figure(run, spectra))))
    return plots


def _as_json(figure: go.Figure) -> str:
    return figure.to_json().replace("<", "\\u003c")


def _figure(run: Analysis, spectra: Mapping[int, Spectrum]) -> go.Figure:
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.2, 0.36, 0.22, 0.22]
    )
    _add_accuracy(figure, run)
    shared = len(figure.data)
    shown: list[int | None] = [None] * shared
    for stride, spectrum in spectra.items():
        _add_spectrum(figure, spectrum, visible=stride == next(iter(spectra)))
        shown += [stride] * (len(figure.data) - len(shown))
    if run.summary.grok_step is not None:
        figure.add_vline(run.summary.grok_step, line={"color": "#777777", "width": 1, "dash": "dot"})
    _lay_out(figure, shown, spectra)
    return figure


def _add_accuracy(figure: go.Figure, run: Analysis) -> None:
    for name, series in (("train", SERIES[1]), ("test", SERIES[0])):
        accuracy = run.arrays.get(f"metrics.{name}_accuracy")
        steps = run.arrays.get("metrics.step")
        if accuracy is not None and steps is not None:
            line = {"color": series.colour, "dash": series.dash, "width": 1.6}
            figure.add_scatter(
                x=steps,
                y=accuracy.astype(np.float32),
                name=name,
                line=line,
                mode="lines",
                row=1,
                col=1,
                legend="legend",
            )


def _add_spectrum(figure: go.Figure, spectrum: Spectrum, *, visible: bool) -> None:
    every = slice(None, None, -(-len(spectrum.steps) // MOST_POINTS))
    steps = spectrum.steps[every].astype(np.int32)
    values = spectrum.singular_values[every].astype(np.float32)

    def add(row: int, y: np.ndarray, name: str, line: dict, *, legend: bool) -> None:
        figure.add_scatter(
            x=steps,
            y=y,
            name=name,
            line={"width": 1.4, **line},
            mode="lines",
            showlegend=legend,
            legend="legend2",
            visible=visible,
            row=row,
            col=1,
        )

    for index, series in enumerate(SERIES[: values.shape[1]]):
        line = {"color": series.colour, "dash": series.dash}
        add(2, values[:, index], f"σ{subscript(index + 1)}", line, legend=True)
    add(3, spectrum.eigengap[every].astype(np.float32), "g₂₃", {"color": INK}, legend=False)
    add(4, spectrum.gap_ratio[every].astype(np.float32), "σ₁/σ₂", {"color": INK}, legend=False)


def _log_marks(values: np.ndarray) -> dict[str, Any]:
    """Marks of a logarithmic axis that a low panel has room for, however few decades it has."""
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (float(known.min()), float(known.max())) if known.size else (1.0, 1.0)
    decades = np.log10(high / low)
    if decades > 2 or decades == 0:
        return {"tickmode": "linear", "dtick": max(1, int(np.ceil(decades / 4))), "tickvals": None, "ticktext": None}
    if decades < 0.5:
        step = (high - low) / 3
        ten = 10.0 ** np.floor(np.log10(step))
        digit = next(digit for digit in (1, 2, 5, 10) if digit * ten >= 0.999 * step)
        return {"tickmode": "linear", "dtick": f"L{digit * ten:.3g}", "tickvals": None, "ticktext": None}
    tens = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 2)
    marks = [(digit, ten) for ten in tens for digit in (1, 2, 5)]
    texts = [f"{d * 10.0**n:g}" if -4 <= n <= 3 else f"{d}·10<sup>{n}</sup>" for d, n in marks]
    return {"tickmode": "array", "dtick": None, "tickvals": [d * 10.0**n for d, n in marks], "ticktext": texts}


def _lay_out(figure: go.Figure, shown: list[int | None], spectra: Mapping[int, Spectrum]) -> None:
    marks = {s: (_log_marks(found.singular_values), _log_marks(found.eigengap)) for s, found in spectra.items()}
    first = next(iter(marks.values()))
    buttons = [
        {
            "label": f"stride {stride}",
            "method": "update",
            "args": [
                {"visible": [owner in (None, stride) for owner in shown]},
                {f"yaxis{i}.{key}": mark for i, of in enumerate(marks[stride], 2) for key, mark in of.items()},
            ],
        }
        for stride in spectra
    ]
    menu = {
        "type": "buttons",
        "direction": "right",
        "buttons": buttons,
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "showactive": True,
    }
    figure.update_layout(
        template="simple_white",
        height=680,
        font={"family": _FONT, "size": 12, "color": INK},
        margin={"l": 62, "r": 14, "t": 52, "b": 48},
        # Each legend stands above its own panel: a colour means another line in the next one.
        legend=_legend_above(figure.layout.yaxis, x=1, xanchor="right"),
        legend2=_legend_above(figure.layout.yaxis2, x=0, xanchor="left"),
        hovermode="x",
        updatemenus=[menu] if len(spectra) > 1 else [],
    )
    figure.update_yaxes(exponentformat="power", title_standoff=6)
    figure.update_yaxes(title_text="accuracy", range=[-0.03, 1.05], row=1, col=1)
    figure.update_yaxes(title_text="σ", type="log", **first[0], row=2, col=1)
    figure.update_yaxes(title_text="g₂₃", type="log", **first[1], row=3, col=1)
    figure.update_yaxes(title_text="σ₁/σ₂", row=4, col=1)
    figure.update_xaxes(title_text="optimizer step", row=4, col=1)


def _legend_above(axis: go.layout.YAxis, **place: Any) -> dict[str, Any]:
    return {
        "orientation": "h",
        "y": axis.domain[1],
        "yanchor": "bottom",
        "itemwidth": 30,
        "font": {"size": 11},
        **place,
    }
