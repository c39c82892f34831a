"""A page of coloured tokens."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from spectral_edge.language.tables import tokens_of
from spectral_edge.store import make_folder, write_atomically

if TYPE_CHECKING:
    from spectral_edge.language.tokens import TokenModes

__all__ = ["write_token_page"]

_DIGITS = 4


def write_token_page(modes: TokenModes, path: Path, tokenizer: Any) -> Path:
    """Write all tokens with what each direction does to them; returns the path.

    Raises:
        StoreError: it cannot be written.
    """
    # A line break has no area to colour.
    sequences = [[t.replace("\n", "⏎\n") for t in tokens_of(ids, tokenizer)] for ids in modes.ids.cpu()]
    numbers = {
        "signed": _rounded(modes.signed),
        "sensitivity": _rounded(modes.sensitivity),
        "log_probability": _rounded(modes.log_probability),
    }
    environment = Environment(
        loader=PackageLoader("spectral_edge.language", "."), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("tokens.html.j2").render(
        sequences=sequences,
        gap="" if tokenizer is not None else " ",  # ids would run together
        k=len(modes.signed),
        method=modes.method,
        epsilon=modes.epsilon,
        # "</script>" in a string would end the block
        numbers=json.dumps(numbers, separators=(",", ":")).replace("<", "\\u003c"),
    )
    make_folder(path.parent)
    write_atomically(path, page.encode())
    return path


def _rounded(values: Tensor) -> Any:
    """Nested lists of four significant digits, ``None`` where masked."""
    if values.ndim > 1:
        return [_rounded(part) for part in values]
    return [float(f"{v:.{_DIGITS}g}") if math.isfinite(v) else None for v in values.tolist()]
