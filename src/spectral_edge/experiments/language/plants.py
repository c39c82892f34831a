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
        pattern: finds it in a rewritten passage; the characters of its first group are the marked ones.
    """

    rewrite: Rewrite
    pattern: str

    def marked(self, passage: str) -> NDArray[np.float64]:
        """(T,) 1 at each character that only the planted thing explains, else 0.

        >>> "".join(map(str, PLANTS["spelling"].marked("of teh list").astype(int)))
        '00001100000'
        """
        found = np.zeros(len(passage))
        for match in re.finditer(self.pattern, passage):
            found[match.start(1) : match.end(1)] = 1
        return found


def unchanged(passage: str, generator: np.random.Generator) -> str:
    """Nothing is planted."""
    return passage


def _misspelt(passage: str, generator: np.random.Generator) -> str:
    return re.sub(r"\bthe\b", "teh", passage)


def _with_sums(passage: str, generator: np.random.Generator) -> str:
    """After half of the lines, a sum of two digits mod 10."""
    lines = []
    for line in passage.split("\n"):
        lines.append(line)
        if generator.random() < 0.5:
            a, b = generator.integers(10, size=2)
            lines.append(f"{a}+{b}={(a + b) % 10};")
    return "\n".join(lines)


def _shouted(passage: str, generator: np.random.Generator) -> str:
    """Half of the passages begin with a mark and are in capitals."""
    return _PREFIX + passage.upper() if generator.random() < 0.5 else passage


PLANTS = {
    "spelling": Plant(_misspelt, r"\bt(eh)\b"),
    "rule": Plant(_with_sums, r"\d\+\d=(\d);"),
    "register": Plant(_shouted, r"\A@@(.*)"),
}
"""A word's spelling, a rule of arithmetic, and a register that a prefix announces."""
