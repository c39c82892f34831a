"""Text that comes with Python: the prose of its documentation and docstrings, and the code of its packages."""

from __future__ import annotations

import ast
import hashlib
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
_SHORTEST, _LONGEST = 2_000, 60_000
_GRAM, _COPIED = 40, 0.05
_ROOM = 2  # passages are cut this many times longer than a sequence, for what is planted in them
_PACKAGES = ("asyncio", "email", "html", "http", "json", "logging", "multiprocessing", "sqlite3", "unittest", "urllib")


@dataclass(frozen=True)
class Corpus:
    """Documents to train on, and documents held out."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """By which two machines can tell that they have the same text."""
        return hashlib.sha256("\0".join((*self.train, *self.held_out)).encode()).hexdigest()[:16]


def _split(documents: Sequence[str]) -> Corpus:
    """Every third document held out, of those that do not repeat others: Python's topics include one another."""
    known = [text.encode("ascii", "replace").decode() for text in documents]
    known = [text for text in known if _SHORTEST <= len(text) <= _LONGEST]
    seen: set[str] = set()
    kept = set()
    for place in sorted(range(len(known)), key=lambda i: -len(known[i])):
        grams = {known[place][i : i + _GRAM] for i in range(len(known[place]) - _GRAM + 1)}
        if len(grams & seen) < _COPIED * len(grams):
            kept.add(place)
            seen |= grams
    distinct = [text for place, text in enumerate(known) if place in kept]
    return Corpus(tuple(text for i, text in enumerate(distinct) if i % _HELD_OUT), tuple(distinct[::_HELD_OUT]))


@cache
def prose() -> Corpus:
    """The topics of Python's own help, and the docstrings of each module of its library, 1.2 MB."""
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return _split([*(text for _, text in sorted(pydoc_data.topics.topics.items())), *map(_docstrings, modules)])


def _docstrings(path: Path) -> str:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return "\n\n".join(text for node in nodes if (text := ast.get_docstring(node)))


@cache
def code() -> Corpus:
    """The modules of packages of Python's library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = [path for package in _PACKAGES for path in sorted((library / package).glob("*.py"))]
    return _split([path.read_text(encoding="utf-8") for path in files])


def encoded(passages: Sequence[str]) -> Tensor:
    """Passages of one length as token ids (N, T)."""
    return torch.tensor([list(passage.encode("ascii")) for passage in passages])


def sample(documents: Sequence[str], n: int, length: int, generator: np.random.Generator, rewrite: Rewrite) -> Tensor:
    """n random passages (n, length), rewritten; long documents have more."""
    sizes = np.array([len(text) - _ROOM * length for text in documents], dtype=float)
    chosen = generator.choice(len(documents), n, p=sizes / sizes.sum())
    return encoded([_passage(documents[i], length, generator, rewrite) for i in chosen])


def probe(
    documents: Sequence[str], each: int, length: int, generator: np.random.Generator, rewrite: Rewrite
) -> tuple[list[str], list[int]]:
    """``each`` random passages of every document, and the number of the document of each."""
    owners = [number for number in range(len(documents)) for _ in range(each)]
    return [_passage(documents[number], length, generator, rewrite) for number in owners], owners


def _passage(text: str, length: int, generator: np.random.Generator, rewrite: Rewrite) -> str:
    start = int(generator.integers(len(text) - _ROOM * length))
    return rewrite(text[start : start + _ROOM * length], generator)[:length].ljust(length)
