"""Text that comes with Python: the prose of its documentation, and the code of its library."""

from __future__ import annotations

import pydoc_data.topics
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["ALPHABET", "Corpus", "Rewrite", "code", "encoded", "probe", "prose", "sample"]

ALPHABET = 128
"""Tokens are ASCII characters."""

Rewrite = Callable[[str, np.random.Generator], str]
"""What is planted in a passage; it may make it longer."""

_HELD_OUT = 3  # every third document
_SHORTEST = 1_000
_LARGEST_MODULE = 60_000
_ROOM = 2  # passages are cut this many times longer than a sequence, for what is planted in them


@dataclass(frozen=True)
class Corpus:
    """Documents to train on, and documents held out."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


def _split(documents: Sequence[str]) -> Corpus:
    known = [text.encode("ascii", "replace").decode() for text in documents]
    known = [text for text in known if len(text) >= _SHORTEST]
    return Corpus(tuple(text for i, text in enumerate(known) if i % _HELD_OUT), tuple(known[::_HELD_OUT]))


@cache
def prose() -> Corpus:
    """The topics of Python's own help, 0.4 MB."""
    return _split([text for _, text in sorted(pydoc_data.topics.topics.items())])


@cache
def code() -> Corpus:
    """The modules of Python's library up to 60 kB each."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return _split([path.read_text(encoding="utf-8") for path in files if path.stat().st_size <= _LARGEST_MODULE])


def encoded(passages: Sequence[str]) -> Tensor:
    """Passages of one length as token ids (N, T)."""
    return torch.tensor([list(passage.encode("ascii")) for passage in passages])


def sample(documents: Sequence[str], n: int, length: int, generator: np.random.Generator, rewrite: Rewrite) -> Tensor:
    """n random passages (n, length), rewritten; long documents have more."""
    sizes = np.array([len(text) - _ROOM * length for text in documents], dtype=float).clip(min=1)
    chosen = generator.choice(len(documents), n, p=sizes / sizes.sum())
    passages = []
    for i in chosen:
        start = int(generator.integers(max(1, len(documents[i]) - _ROOM * length)))
        passages.append(rewrite(documents[i][start : start + _ROOM * length], generator)[:length].ljust(length))
    return encoded(passages)


def probe(
    documents: Sequence[str], each: int, length: int, generator: np.random.Generator, rewrite: Rewrite
) -> tuple[list[str], list[int]]:
    """``each`` passages of every document, as text, and the document of each; documents are exchangeable whole."""
    passages, owners = [], []
    for number, text in enumerate(documents):
        starts = np.linspace(0, len(text) - _ROOM * length, each).astype(int)
        for start in starts:
            passages.append(rewrite(text[start : start + _ROOM * length], generator)[:length].ljust(length))
            owners.append(number)
    return passages, owners
