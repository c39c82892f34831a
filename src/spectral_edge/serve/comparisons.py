"""Comparisons that somebody has saved among the runs: which there are, and what a page shows of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spectral_edge.comparison import Comparison, load_comparison
from spectral_edge.serve.library import Library, UnknownRunError

__all__ = ["comparison_names", "comparison_view", "open_comparison"]

_DEPTH = 3
_MOST_FILES, _MOST_BYTES = 500, 50_000_000
_HEAD = re.compile(rb'^\s*\{\s*"schema":\s*\d+,\s*"kind":\s*"comparison"')


def comparison_names(library: Library) -> list[str]:
    """Paths of saved comparisons below the directory served, at most 500."""
    found: list[str] = []
    for path in _files(library.root, _DEPTH):
        if len(found) == _MOST_FILES:
            break
        if library.holds(path) and _is_comparison(path):
            found.append(path.relative_to(library.root).as_posix())
    return sorted(found)


def open_comparison(library: Library, name: str) -> Comparison:
    """Read one; its name is compared with what a listing finds, never joined to a path.

    Raises:
        UnknownRunError: there is none of that name.
        StoreError: it is damaged.
    """
    if name not in comparison_names(library):
        raise UnknownRunError(f"there is no comparison {name!r} here; result.save(path) writes one")
    return load_comparison(library.root / name)


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """What a page shows: the table, how it was measured, and for each row the middle 90 % of its draws."""
    rows = []
    for row, line in zip(comparison.rows, comparison.table.iter_rows(named=True), strict=True):
        low, high = np.quantile(row.values, [0.05, 0.95]) if len(row.values) else (None, None)
        rows.append(line | {"low": low, "high": high})
    shown = ("model", "dim", "inputs", "directions", "window", "centered", "position", "method", "draws", "seed")
    protocol = {name: comparison.protocol.get(name) for name in shown}
    return {
        "rows": rows,
        "protocol": {name: value for name, value in protocol.items() if isinstance(value, (int, float, str))},
        "alternative": comparison.alternative,
        "complete": comparison.complete,
        "left_out": comparison.left_out,
    }


def _is_comparison(path: Path) -> bool:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        with path.open("rb") as stream:
            return _HEAD.match(stream.read(200)) is not None
    except OSError:  # it vanished, or is not ours to read
        return False


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Files that end in .json, none hidden; folders of tensors are not entered."""
    try:
        with os.scandir(folder) as entries:
            entries_here = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries_here:
        if entry.name.endswith(".json") and entry.name.isprintable() and entry.is_file():
            yield Path(entry.path)
    for entry in entries_here:
        enters = entry.name.isprintable() and entry.name not in _OF_RUNS
        if depth and enters and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), depth - 1)


_OF_RUNS = {"trajectory", "checkpoints", "updates", "decay", "modes", "figures", "tables"}
