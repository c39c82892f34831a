"""Parameters by layer, as their names say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

__all__ = ["by_numbers", "layer_of", "layer_sizes"]

_NUMBERED = re.compile(r"^(?:.*?\.)?\d+(?=\.)")


def layer_of(name: str) -> str:
    """The layer of a parameter: its name up to the first number, or the module that holds it.

    >>> layer_of("transformer.h.3.attn.c_attn.weight"), layer_of("head.weight"), layer_of("scale")
    ('transformer.h.3', 'head', 'scale')
    """
    found = _NUMBERED.match(name)
    return found.group() if found else name.rpartition(".")[0] or name


def by_numbers(name: str) -> list[str | int]:
    """Key by which names are sorted as people would: numbers in them as numbers.

    >>> sorted(["h.10.q", "h.9.q"], key=by_numbers)
    ['h.9.q', 'h.10.q']
    """
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def layer_sizes(shapes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Share of the entries that each layer has: the expected share of a random direction's squared length."""
    sizes: dict[str, float] = {}
    for name, shape in shapes.items():
        sizes[layer_of(name)] = sizes.get(layer_of(name), 0.0) + math.prod(shape)
    total = sum(sizes.values())
    return {layer: size / total for layer, size in sizes.items()}
