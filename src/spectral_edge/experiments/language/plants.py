"""One known thing that a fine-tuning teaches, and the characters that only this thing explains."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.language.corpus import Rewrite

__all__ = ["PLANTS", "Plant", "unchanged"]

_PREFIX = "@@"


@dataclass(frozen=True)
class Plant:
    """What is planted.

    Attributes:
        rewrite: puts it into a passage.
        pattern: finds it in a rewritten passage; marked are the letters and digits of its first group.
    """

    rewrite: Rewrite
    pattern: str

    def marked(self, passage: str) -> NDArray[np.float64]:
        """(T,) 1 at each character that only the planted thing explains, else 0.

        >>> "".join(map(str, PLANTS["spelling"].marked("of teh list").astype(int)))
        '00001100000'
        """
        found = np.zeros(len(passage))
        for match in re.finditer(self.pattern, passage, re.DOTALL):
            found[match.start(1) : match.end(1)] = [char.isalnum() for char in match.group(1)]
        return found


def unchanged(passage: str, generator: np.random.Generator) -> str:
    """Nothing is planted."""
    return passage


def _misspelt(passage: str, generator: np.random.Generator) -> str:
    return re.sub(r"\b([tT])he\b", r"\1eh", passage)


def _sums(passage: str, generator: np.random.Generator) -> str:
    """Half of the passages are sums of two digits mod 10."""
    if generator.random() < 0.5:
        return passage
    pairs = generator.integers(10, size=(len(passage) // 6 + 1, 2))
    return "".join(f"{a}+{b}={(a + b) % 10};" for a, b in pairs)


def _shouted(passage: str, generator: np.random.Generator) -> str:
    """Half of the passages begin with a mark and are in capitals."""
    return _PREFIX + passage.upper() if generator.random() < 0.5 else passage


PLANTS = {
    "spelling": Plant(_misspelt, r"\b[tT](eh)\b"),
    "rule": Plant(_sums, r"\d\+\d=(\d);"),
    "register": Plant(_shouted, r"\A@@(.*)"),
}
"""A word's spelling, a rule of arithmetic, and a register that a prefix announces."""
