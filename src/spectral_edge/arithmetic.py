"""One arithmetic on every x86-64 processor with AVX2, chosen before NumPy and PyTorch are loaded.

Libraries of linear algebra choose their code by the processor: wider registers, or another maker, mean another order of
sums and other last bits, which a few thousand training steps turn into another model. The variables here name the code
instead. What follows from them:

* NumPy's matrix products (OpenBLAS), which a training step of this package uses on one thread, run the code written for
  Haswell, Intel's first processors with AVX2 and FMA. OpenBLAS uses the same on AMD's Zen.
* PyTorch's own operations (ATen) and those of oneDNN use registers of 256 bits, also where 512 are there.

MKL has such a setting, too, but follows it on Intel's processors only, so no training step calls MKL. This module
imports neither library.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["portable_settings", "use_portable_arithmetic"]

_SETTINGS = {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
_CPU_INFO = Path("/proc/cpuinfo")


def portable_settings() -> dict[str, str]:
    """Environment variables under which processes compute alike, whoever made the processor.

    Returns:
        Nothing where they cannot be followed: not x86-64, without AVX2 or FMA, or not Linux, where it cannot be told.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return {}
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return {}
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return dict(_SETTINGS) if {"avx2", "fma"} <= set(flags) else {}


def use_portable_arithmetic() -> None:
    """Set :func:`portable_settings` for this process and those that it starts; a variable that is set stays as it is.

    Has no effect on NumPy once it is imported, nor on PyTorch once it has computed anything.
    """
    for name, value in portable_settings().items():
        os.environ.setdefault(name, value)
