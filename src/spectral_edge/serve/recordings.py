"""What was watched beside the spectrum of a recording, and its page."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from spectral_edge.parameters import layer_sizes
from spectral_edge.report import recording_page, thinned
from spectral_edge.serve.library import Library, number
from spectral_edge.store import RunCorruptError, RunDirectory, RunMissingError

__all__ = ["MONITORED", "monitor", "page_of", "window_of"]

MONITORED = ("update_norm", "weight_norm", "learning_rate", "decay_share")

_drawing = threading.Lock()  # matplotlib's style is one for all threads


def monitor(library: Library, name: str, most: int) -> dict[str, Any]:
    """Columns over the windows of a recording: norms, rates, what was noted, and shares of v_1 by layer.

    Args:
        library: where it lies.
        name: of the recording.
        most: windows; of more, evenly chosen ones and always the last.

    Raises:
        RunMissingError: the run is no recording.
        StoreError: its log is damaged.
    """
    config = _config(library, name)
    lines = thinned(library.metrics(name), most)
    columns: dict[str, Any] = {key: [number(line.get(key)) for line in lines] for key in MONITORED}
    noted = [line["noted"] if isinstance(line.get("noted"), dict) else {} for line in lines]
    names = sorted({str(key) for known in noted for key in known})
    try:
        null = layer_sizes(config["parameters"])
    except (KeyError, TypeError, AttributeError):
        raise RunCorruptError(f"{name}/config.json: its parameters are no shapes by name. It was edited.") from None
    shares = [line["layer_shares"] if isinstance(line.get("layer_shares"), dict) else {} for line in lines]
    return {
        "step": [line["step"] for line in lines],
        **{key: values for key, values in columns.items() if any(value is not None for value in values)},
        "noted": {key: [number(known.get(key)) for known in noted] for key in names},
        "layers": list(null) if any(shares) else [],
        "expected": list(null.values()) if any(shares) else [],
        "shares": [[number(share.get(layer)) for layer in null] for share in shares] if any(shares) else [],
        "modes": len(RunDirectory.open(library.path(name)).mode_steps()),
    }


def window_of(library: Library, name: str) -> dict[str, int]:
    """Updates that a recording puts into a window, and optimizer steps an update."""
    config = _config(library, name)
    known = {key: config.get(key) for key in ("window", "every")}
    return {key: value if isinstance(value, int) and value > 0 else 1 for key, value in known.items()}


def page_of(library: Library, name: str) -> str:
    """The report of a recording, drawn now; about a second.

    Raises:
        RunMissingError: the run is no recording, or nothing is logged yet.
        StoreError: it is damaged.
    """
    _config(library, name)
    with _drawing, tempfile.TemporaryDirectory() as folder:
        return recording_page(library.path(name), Path(folder))


def _config(library: Library, name: str) -> dict[str, Any]:
    config = RunDirectory.open(library.path(name)).config
    if config.get("kind") != "recording":
        raise RunMissingError(f"{name} is no recording of watch()")
    return config
