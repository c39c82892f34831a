"""The numbers behind the pages: one address each, as JSON, CSV or Parquet."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, get_args

import numpy as np
import polars as pl
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from numpy.typing import NDArray

from spectral_edge.report import thinned
from spectral_edge.serve.answers import FileFormat, download, plain
from spectral_edge.serve.claims import claims_file, claims_view, figure_path
from spectral_edge.serve.comparisons import comparison_names, comparison_view, open_comparison
from spectral_edge.serve.events import changes, library_stamp, run_stamp
from spectral_edge.serve.explorer import DIRECTIONS, RANDOM, Explorer
from spectral_edge.serve.film import animated_png, film_page
from spectral_edge.serve.library import Library, UnknownRunError, number
from spectral_edge.serve.queries import (
    Basis,
    Choice,
    Coordinates,
    FilmChoice,
    FunctionChoice,
    Inputs,
    RunName,
    RunNames,
    Step,
)
from spectral_edge.serve.reading import character_share, frequency_share, profile, read_function
from spectral_edge.serve.recordings import MONITORED, monitor, page_of, window_of
from spectral_edge.serve.spectra import Spectra
from spectral_edge.statistics import NullDistribution
from spectral_edge.store import Checkpoint, StoreError
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["api"]

_MOST_POINTS = 1500
_CHECKPOINTS: tuple[Checkpoint, ...] = get_args(Checkpoint)
_CURVES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


def api(library: Library, spectra: Spectra, explorer: Explorer) -> APIRouter:
    """All routes below ``/api``; each answers for the run that its query names."""
    routes = APIRouter(prefix="/api")
    _add_runs(routes, library, spectra)
    _add_run(routes, library, spectra, explorer)
    _add_modes(routes, explorer)
    _add_film(routes, explorer)
    _add_claims(routes, library)
    _add_recordings(routes, library)
    _add_comparisons(routes, library)
    return routes


def _add_runs(routes: APIRouter, library: Library, spectra: Spectra) -> None:
    @routes.get("/runs")
    def runs(kind: FileFormat = "json") -> Any:
        lines = [line.to_dict() for line in library.lines()]
        if kind != "json":
            return download(pl.DataFrame(lines, infer_schema_length=None), "runs", kind)
        return plain({"root": library.root.name, "claims": claims_file(library) is not None, "runs": lines})

    @routes.get("/curves")
    def curves(names: RunNames) -> Any:
        return plain({name: _curve(library, spectra, name) for name in names})

    @routes.get("/events")
    def events(request: Request, run: Annotated[str | None, Query(max_length=500)] = None) -> StreamingResponse:
        stamp = (lambda: library_stamp(library)) if run is None else (lambda: run_stamp(library, run))
        return StreamingResponse(changes(stamp, request.app.state.ends), media_type="text/event-stream")


def _curve(library: Library, spectra: Spectra, name: str) -> dict[str, Any]:
    try:
        return library.curve(name) | {"edge": spectra.last(name)}
    except (StoreError, UnknownRunError) as problem:  # one damaged run does not hide the others
        return {"step": [], "test_accuracy": [], "edge": None, "why": str(problem)}


def _add_run(routes: APIRouter, library: Library, spectra: Spectra, explorer: Explorer) -> None:
    @routes.get("/run")
    def run(run: RunName) -> Any:
        library.path(run)
        line = library.line(run)
        found = {"line": line.to_dict(), "choices": None}
        try:
            found |= {"choices": spectra.choices(run)} if line.kind != "unreadable" else {}
            found |= {"recording": window_of(library, run)} if line.kind == "recording" else {}
            return plain(found | (_about_training(explorer, run) if line.kind == "training" and line.step else {}))
        except StoreError as problem:  # of a damaged log the state is still known
            return plain({"line": replace(line, why=str(problem)).to_dict(), "choices": None})

    @routes.get("/metrics")
    def metrics(run: RunName, kind: FileFormat = "json") -> Any:
        lines = library.metrics(run)
        names = [name for name in _CURVES if any(isinstance(line.get(name), (int, float)) for line in lines)]
        columns = {"step": [line["step"] for line in lines]} | {
            n: [number(line.get(n)) for line in lines] for n in names
        }
        if kind != "json":
            return download(pl.DataFrame(columns), f"{run}-metrics", kind)
        return plain({name: thinned(values, _MOST_POINTS) for name, values in columns.items()} | {"found": len(lines)})

    @routes.get("/spectrum")
    def spectrum(run: RunName, choice: Choice, kind: FileFormat = "json") -> Any:
        most = _MOST_POINTS if kind == "json" else 10**9
        found = spectra.series(run, choice, most)
        if kind == "json":
            return plain(found.__dict__)
        columns = {f"sigma_{i + 1}": column for i, column in enumerate(found.singular_values.T)}
        columns |= {f"gap_ratio_{i + 1}": column for i, column in enumerate(found.gap_ratios.T)}
        first = {"step": found.steps, "position": found.position, "eigengap_2": found.eigengap}
        c = choice
        setting = {"window": c.window, "stride": c.stride, "centered": c.centered}
        frame = pl.DataFrame(first | columns).with_columns(**{name: pl.lit(value) for name, value in setting.items()})
        return download(frame, f"{run}-spectrum", kind)


def _about_training(explorer: Explorer, name: str) -> dict[str, Any]:
    """Steps, checkpoints and bases of a training run: what the explorer offers."""
    run = explorer.run(name)
    named = {checkpoint: run.step_of(checkpoint) for checkpoint in _CHECKPOINTS}
    return {
        "training": run.training.model_dump(),
        "steps": run.run.snapshot_steps(),
        "checkpoints": {checkpoint: step for checkpoint, step in named.items() if step is not None},
        "grok_step": run.grok_step,
        "bases": explorer.bases(run.task),
        "directions": DIRECTIONS,
        "random": RANDOM,
    }


def _add_modes(routes: APIRouter, explorer: Explorer) -> None:
    @routes.get("/mode")
    def mode(
        f: FunctionChoice,
        basis: Basis,
        coordinates: Coordinates = "additive",
        inputs: Inputs = "test",
        kind: FileFormat = "json",
    ) -> Any:
        opened = explorer.run(f.run)
        values, about = f.values(explorer), {}
        if kind != "json":
            return download(_values_table(opened, values), f"{f.run}-{f.step}-f", kind)
        if f.random is None:
            edge = explorer.edge(f.run, f.step, f.choice)
            about = {"singular_values": edge.edge.singular_values[:10], "k": len(edge.response)}
        found = read_function(values, opened.task, basis, coordinates, _chosen(opened, inputs))
        return plain(found.__dict__ | about)

    @routes.get("/null")
    def null(f: FunctionChoice, basis: Basis, inputs: Inputs = "test") -> Any:
        opened = explorer.run(f.run)
        chosen = _chosen(opened, inputs)
        measured = profile(f.values(explorer)[None], opened.task, basis, chosen)
        drawn = profile(explorer.random(f.run, f.step), opened.task, basis, chosen)
        shares = drawn.power / drawn.power.sum(axis=1, keepdims=True)
        concentration = NullDistribution(drawn.concentration, "random_directions")
        return plain(
            {
                "n": concentration.n,
                "median": np.median(shares, axis=0),
                "quantile95": np.quantile(shares, 0.95, axis=0),
                "concentration_mean": concentration.mean,
                "concentration_quantile95": concentration.quantile95,
                "pvalue": concentration.pvalue(float(measured.concentration[0])),
                "same_peak": int((drawn.peak == measured.peak[0]).sum()),
            }
        )

    @routes.get("/share")
    def share(
        f: FunctionChoice,
        basis: Basis,
        coordinates: Coordinates = "additive",
        inputs: Inputs = "test",
        frequency: Annotated[int | None, Query(ge=1, le=10_000)] = None,
        omega_a: Annotated[int, Query(ge=-10_000, le=10_000)] = 0,
        omega_b: Annotated[int, Query(ge=-10_000, le=10_000)] = 0,
    ) -> Any:
        opened, values = explorer.run(f.run), f.values(explorer)
        if frequency is None:
            return plain({"grid": character_share(values, opened.task, coordinates, (omega_a, omega_b))})
        chosen = _chosen(opened, inputs)
        return plain({"grid": frequency_share(values, opened.task, basis, coordinates, chosen, frequency)})


def _chosen(run: TrainedRun, inputs: Inputs) -> NDArray[np.int64] | None:
    """Indices of the pairs that are read; ``None`` for all of them."""
    return run.split.test if inputs == "test" else None


def _values_table(run: TrainedRun, values: NDArray[np.float64]) -> pl.DataFrame:
    a, b = run.task.pairs.T
    held_out = np.zeros(len(a), dtype=bool)
    held_out[run.split.test] = True
    return pl.DataFrame({"a": a, "b": b, "f": values, "held_out": held_out})


def _add_film(routes: APIRouter, explorer: Explorer) -> None:
    @routes.get("/film")
    def film(film: FilmChoice) -> Any:
        accuracy = {line["step"]: line.get("test_accuracy") for line in explorer.run(film.name).metrics}
        steps = film.steps(explorer)
        return plain({"about": film.about, "steps": steps, "test_accuracy": [accuracy.get(step) for step in steps]})

    @routes.get("/frame")
    def frame(film: FilmChoice, step: Step) -> Response:
        return Response(film.frame(explorer, step).astype("<f4").tobytes(), media_type="application/octet-stream")

    @routes.get("/film.png")
    def film_png(film: FilmChoice) -> Response:
        return _file(animated_png(film, explorer), "film.png", "image/png")

    @routes.get("/film.html")
    def film_html(film: FilmChoice) -> Response:
        return _file(film_page(film, explorer), "film.html", "text/html; charset=utf-8")


def _file(content: str | bytes, name: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def _add_claims(routes: APIRouter, library: Library) -> None:
    @routes.get("/claims")
    def claims() -> Any:
        return claims_view(library)

    @routes.get("/figure")
    def figure(name: Annotated[str, Query(max_length=200)]) -> FileResponse:
        return FileResponse(figure_path(library, name))


def _add_recordings(routes: APIRouter, library: Library) -> None:
    @routes.get("/monitor")
    def watched(run: RunName, kind: FileFormat = "json") -> Any:
        found = monitor(library, run, _MOST_POINTS if kind == "json" else 10**9)
        if kind == "json":
            return plain(found)
        columns = {name: found[name] for name in ("step", *MONITORED) if name in found}
        columns |= {f"noted.{name}": values for name, values in found["noted"].items()}
        return download(pl.DataFrame(columns), f"{run}-monitor", kind)

    @routes.get("/recording")
    def page(run: RunName) -> HTMLResponse:
        return HTMLResponse(page_of(library, run))


def _add_comparisons(routes: APIRouter, library: Library) -> None:
    @routes.get("/comparisons")
    def comparisons() -> Any:
        return {"root": library.root.name, "comparisons": comparison_names(library)}

    @routes.get("/comparison")
    def comparison(name: RunName, kind: FileFormat = "json") -> Any:
        found = open_comparison(library, name)
        return plain(comparison_view(found)) if kind == "json" else download(found.table, name, kind)
