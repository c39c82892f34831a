"""Whether another process computes with the same code and libraries as this one."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

__all__ = ["version_differences", "versions"]

_PACKAGE = Path(__file__).resolve().parents[2]


@cache
def versions() -> dict[str, str]:
    """Versions of what decides the numbers: Python, torch, numpy, and this package with a hash of its source.

    The hash sees what a version number and a commit do not: a file edited on one machine.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "spectral-edge": f"{_package_version()} (source {_source_hash()})",
    }


def version_differences(expected: Mapping[str, str], found: Mapping[str, str], where: str) -> str | None:
    """Say in which versions ``where`` differs from the command that places work there; None if in none.

    >>> version_differences({"torch": "2.13.0"}, {"torch": "2.12.1"}, "tcp://node7:40123")
    'tcp://node7:40123 has torch 2.12.1, not 2.13.0'
    """
    differ = [
        f"{name} {found.get(name, 'unknown')}, not {value}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    return f"{where} has {'; '.join(differ)}" if differ else None


def _package_version() -> str:
    try:
        return metadata.version("spectral-edge")
    except metadata.PackageNotFoundError:
        return "not installed"


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]
