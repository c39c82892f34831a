"""What one would say of a character without knowing the model: its class, its place, how common it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.language.corpus import ALPHABET, prose

__all__ = ["GENERAL", "general_features"]

GENERAL = ("space", "line break", "lower case", "upper case", "digit", "place", "log frequency", "after a space")
"""Columns of :func:`general_features`."""


def general_features(passages: Sequence[str]) -> NDArray[np.float64]:
    """(N (T - 1), 8) of every next character, passage by passage; columns :data:`GENERAL`.

    >>> general_features(["a B"])[:, :4].astype(int).tolist()
    [[1, 0, 0, 0], [0, 0, 0, 1]]
    """
    counts = np.bincount(list("".join(prose().train).encode("ascii")), minlength=ALPHABET) + 1.0
    frequency = np.log(counts / counts.sum())
    rows = [
        [
            char == " ", char == "\n", char.islower(), char.isupper(), char.isdigit(), place / len(passage),
            frequency[ord(char)], passage[place - 1].isspace(),
        ]
        for passage in passages
        for place, char in enumerate(passage)
        if place
    ]  # fmt: skip
    return np.array(rows, dtype=float)
