"""The server: pages, numbers and files of one directory of runs, for whoever has the token."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib.resources import as_file, files
from pathlib import Path

import torch
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from spectral_edge.serve.answers import failure
from spectral_edge.serve.api import api
from spectral_edge.serve.explorer import Explorer
from spectral_edge.serve.library import Library, UnknownRunError
from spectral_edge.serve.security import Guard
from spectral_edge.serve.spectra import Spectra
from spectral_edge.store import RunMissingError, StoreError

__all__ = ["PAGES", "create_app"]

PAGES = ("/", "/run", "/modes", "/film", "/comparisons", "/claims")
_STATIC = Path(str(files("spectral_edge.serve").joinpath("static")))


def create_app(
    root: Path,
    token: str,
    hosts: Collection[str] = ("127.0.0.1", "localhost", "::1"),
    cookie: str = "spectral-edge",
    ends: Callable[[], bool] | None = None,
) -> Guard:
    """Serve the runs under ``root``: an ASGI application that reads and never writes.

    Args:
        root: directory of runs, or the result of ``reproduce`` or of a sweep.
        token: whoever reads must give it once, as ``?token=``.
        hosts: names by which the server may be asked for.
        cookie: name of the cookie that keeps the token.
        ends: says whether the server is ending, and streams with it; never if ``None``.

    Raises:
        StoreError: there is no such directory.
    """
    library = Library(root)
    app = FastAPI(title="spectral-edge", openapi_url=None, docs_url=None, redoc_url=None)
    explorer = Explorer(library, torch.get_num_threads())
    app.include_router(api(library, Spectra(library), explorer))
    app.state.ends = ends or (lambda: False)
    _add_errors(app)
    _add_pages(app)
    return Guard(app, token, hosts, cookie)


def _add_pages(app: FastAPI) -> None:
    for path in PAGES:
        app.add_api_route(path, lambda: FileResponse(_STATIC / "shell.html"), methods=["GET"], include_in_schema=False)

    @app.get("/plotly.js")
    def plotly() -> FileResponse:
        with as_file(files("plotly").joinpath("package_data/plotly.min.js")) as path:
            # It does not change while the server runs, and has four megabytes.
            return FileResponse(path, headers={"cache-control": "private, max-age=3600"})

    app.mount("/static", StaticFiles(directory=_STATIC))


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(404)
    def nowhere(request: Request, problem: Exception) -> Response:
        if request.url.path.startswith(("/api", "/static")):
            return failure(404, "there is no such address")
        return FileResponse(_STATIC / "shell.html", status_code=404)

    @app.exception_handler(UnknownRunError)
    @app.exception_handler(RunMissingError)
    def missing(request: Request, problem: Exception) -> JSONResponse:
        return failure(404, str(problem))

    @app.exception_handler(OSError)
    def vanished(request: Request, problem: OSError) -> JSONResponse:
        return failure(404, f"a file of this run is gone or cannot be read: {problem.strerror}")

    @app.exception_handler(StoreError)
    def damaged(request: Request, problem: Exception) -> JSONResponse:
        return failure(409, str(problem))

    @app.exception_handler(ValueError)
    def unusable(request: Request, problem: Exception) -> JSONResponse:
        return failure(400, str(problem))

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        return failure(400, f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")
