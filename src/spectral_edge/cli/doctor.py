"""``spectral-edge doctor``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

import tyro

from spectral_edge.arithmetic import portable_settings
from spectral_edge.cli.output import Output
from spectral_edge.store import describe_environment
from spectral_edge.subjects.self_test import SelfTest, self_test

__all__ = ["Doctor"]

_SIGNS = {True: "ok", False: "FAILED", None: "note"}


@dataclass(frozen=True)
class Doctor:
    """Say what this machine has, and try each part of the library once; seconds. Put its answer into a bug report.

    Exit status 1 if a part failed.

    Example:  spectral-edge doctor
    """

    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Look, try, print."""
        environment = describe_environment()
        settings = {name: os.environ.get(name) for name in portable_settings()}
        parts = self_test()
        values = {"environment": environment, "settings": settings, "parts": [asdict(part) for part in parts]}
        self.output.result(values, "\n".join([*_described(environment, settings), *map(_line, parts)]))
        failed = [part.name for part in parts if part.passed is False]
        if failed:
            raise ValueError(f"doctor: failed: {', '.join(failed)}; report it with the lines above")


def _described(environment: dict[str, Any], settings: dict[str, str | None]) -> list[str]:
    lines = [f"{name.replace('_', ' '):16} {value}" for name, value in environment.items() if value is not None]
    bits = ", ".join(f"{name}={value}" for name, value in settings.items()) or "none: bits are this processor's own"
    return [*lines, f"{'portable bits':16} {bits}", ""]


def _line(part: SelfTest) -> str:
    return f"{_SIGNS[part.passed]:7} {part.name}: {part.found} ({part.seconds:.1f} s)"
