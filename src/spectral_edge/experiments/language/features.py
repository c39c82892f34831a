"""What one would say of a character without knowing the model: its class, its place, how common it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.language.corpus import ALPHABET, prose

__all__ = ["TEXT", "text_features"]

TEXT = (
    "space",
    "line break",
    "lower case",
    "upper case",
    "digit",
    "punctuation",
    "place",
    "place in word",
    "log frequency",
    "log frequency after the character before",
)
"""Columns of :func:`text_features`."""


def text_features(passages: Sequence[str]) -> NDArray[np.float64]:
    """(N (T - 1), 10) of every next character, passage by passage; columns :data:`TEXT`.

    >>> text_features(["a B"])[:, :4].astype(int).tolist()
    [[1, 0, 0, 0], [0, 0, 0, 1]]
    """
    single, pair = _log_frequencies()
    rows = []
    for passage in passages:
        in_word = 0
        for place, char in enumerate(passage):
            in_word = in_word + 1 if char.isalnum() else 0
            if place:
                before = ord(passage[place - 1])
                punctuation = not (char.isalnum() or char.isspace())
                rows.append(
                    [
                        char == " ", char == "\n", char.islower(), char.isupper(), char.isdigit(), punctuation,
                        place / len(passage), in_word, single[ord(char)], pair[before, ord(char)],
                    ]
                )  # fmt: skip
    return np.array(rows, dtype=float)


@cache
def _log_frequencies() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log frequency of each character in the prose that is trained on, and of each after each other."""
    ids = np.frombuffer("\n".join(prose().train).encode("ascii"), dtype=np.uint8).astype(np.int64)
    pairs = np.bincount(ids[:-1] * ALPHABET + ids[1:], minlength=ALPHABET**2).reshape(ALPHABET, ALPHABET)
    smoothed = pairs + 0.1
    single = pairs.sum(0) + 0.1
    return np.log(single / single.sum()), np.log(smoothed / smoothed.sum(1, keepdims=True))
