"""Where numbers were computed: what may make the same configuration give other last digits elsewhere."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

__all__ = ["describe_environment"]

_PACKAGE = Path(__file__).resolve().parents[1]


def describe_environment() -> dict[str, Any]:
    """Describe code, libraries and processor of this process, without host names or absolute paths.

    Returns:
        ``git_commit`` and ``git_modified`` (None if the package does not lie in a git checkout of its own),
        ``spectral_edge``, ``python``, ``torch`` and ``numpy`` versions, ``platform``, ``cpu`` (None if
        unknown), ``cpu_cores``, ``openblas`` and ``aten`` (for which processors the code is that NumPy's products
        and PyTorch's operations run here), ``torch_threads``, ``deterministic`` (whether torch was told to use only
        deterministic algorithms) and ``accelerator`` (name of the first GPU or None).

    Cost:
        Up to three calls of git.

    Example:
        >>> sorted(describe_environment())[:4]
        ['accelerator', 'aten', 'cpu', 'cpu_cores']
    """
    commit, modified = _git_state()
    return {
        "git_commit": commit,
        "git_modified": modified,
        "spectral_edge": _package_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()}-{platform.machine()}",
        "cpu": _cpu_model(),
        "cpu_cores": os.cpu_count(),
        "openblas": next((library["architecture"] for library in _openblas()), None),
        "aten": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _openblas() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ThreadpoolController().select(internal_api="openblas").info()
    return found


def _git_state() -> tuple[str | None, bool | None]:
    # A package installed inside somebody's checkout, as in project/.venv, is not code of that commit.
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    changes = _git("status", "--porcelain", "--", ".")
    return _git("rev-parse", "HEAD"), None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", _PACKAGE, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _package_version() -> str | None:
    try:
        return metadata.version("spectral-edge")
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or None)
