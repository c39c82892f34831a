"""What a request gets: JSON without NaN, or the same numbers as a file."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from fastapi import Query
from fastapi.responses import JSONResponse, Response

__all__ = ["FileFormat", "download", "failure", "plain"]

FileFormat = Annotated[Literal["json", "csv", "parquet"], Query(alias="format")]

_DIGITS = 6
_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def plain(value: Any) -> Any:
    """Arrays as lists, six digits of each number, ``None`` in place of NaN and infinity."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value


def download(frame: pl.DataFrame, name: str, kind: str) -> Response:
    """A table as a file.

    Args:
        frame: the table, all digits.
        name: of the file, without its ending; anything but letters, digits and dashes is replaced.
        kind: ``csv`` or ``parquet``.
    """
    out = io.BytesIO()
    (frame.write_csv if kind == "csv" else frame.write_parquet)(out)
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)
    return Response(
        out.getvalue(),
        media_type=_TYPES[kind],
        headers={"content-disposition": f'attachment; filename="{safe}.{kind}"'},
    )


def failure(status: int, message: str) -> JSONResponse:
    """An error that the page shows."""
    return JSONResponse({"error": message}, status_code=status)
