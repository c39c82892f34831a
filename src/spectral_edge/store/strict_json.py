"""JSON as its standard has it: no NaN, no infinity, no second encoding, nothing silently converted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from spectral_edge.store.errors import RunCorruptError, StoreError

__all__ = ["decode_json", "decode_object", "encode_json"]


def encode_json(value: Any, path: Path, indent: int | None = None) -> bytes:
    """Write ``value`` as UTF-8 JSON, refusing what JSON cannot hold.

    Args:
        value: nested dicts (string keys), lists, strings, finite numbers, booleans and None.
        path: the file it is meant for; only named in the error.
        indent: spaces per level; None writes one line.

    Returns:
        The encoded text without a final newline.

    Raises:
        StoreError: a number is NaN or infinite, or an entry is of another type (a tensor, a NumPy scalar);
            the message names the entry.

    Example:
        >>> encode_json({"loss": 0.5}, Path("metrics.jsonl"))
        b'{"loss":0.5}'
        >>> encode_json({"loss": float("nan")}, Path("metrics.jsonl"))
        Traceback (most recent call last):
        spectral_edge.store.errors.StoreError: metrics.jsonl: 'loss' is nan, which JSON cannot hold. ...
    """
    separators = (",", ": ") if indent else (",", ":")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, separators=separators)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as cause:
        problem = _first_problem(value) or f"the value cannot be written: {cause}"
        raise StoreError(
            f"{path}: {problem}. Write null, a finite float(...), an int(...), a string or a list instead."
        ) from cause


def decode_json(data: bytes, place: str) -> Any:
    """Read UTF-8 JSON, refusing NaN, infinities and numbers too large for a float.

    Args:
        data: the encoded text; untrusted.
        place: file, or ``file:line``, that the error names.

    Returns:
        The decoded value.

    Raises:
        RunCorruptError: ``data`` is not such JSON.
    """
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError) as cause:
        raise RunCorruptError(
            f"{place}: not valid JSON ({cause}). The file was damaged or edited: restore it from a copy, "
            "or make the run again."
        ) from cause


def decode_object(data: bytes, place: str) -> dict[str, Any]:
    """Read an object as :func:`decode_json` reads any value.

    Raises:
        RunCorruptError: ``data`` is not such JSON, or no object.
    """
    value = decode_json(data, place)
    if not isinstance(value, dict):
        raise RunCorruptError(f"{place}: holds a {type(value).__name__} where an object {{...}} belongs.")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} does not fit a float")
    return number


def _first_problem(value: Any, where: str = "") -> str | None:
    """Name the first entry that JSON cannot hold; only runs once encoding has failed."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{where}' is {value}, which JSON cannot hold"
    if value is None or isinstance(value, str | int | float):
        return None
    if isinstance(value, dict):
        entries: Any = value.items()
    elif isinstance(value, list | tuple):
        entries = enumerate(value)
    else:
        return f"'{where}' is a {type(value).__name__}, which JSON cannot hold"
    problems = (_first_problem(entry, f"{where}.{key}" if where else str(key)) for key, entry in entries)
    return next((problem for problem in problems if problem), None)
