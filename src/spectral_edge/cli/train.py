"""``spectral-edge train``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.studies import RunConfig, run_folder, train_run

__all__ = ["Train"]


@dataclass(frozen=True)
class Train:
    """Train one model and record its updates; the same command continues an interrupted run.

    Example:  spectral-edge train --operation mul --seed 137 --out runs/mine
    """

    out: Path = Path("runs/mine")
    """Where to keep the run: OUT/runs/<operation>-s<seed>-<hash of the configuration>."""
    run_config: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, resume, or find the run finished."""
        path = run_folder(self.out, self.run_config)
        status = train_run(path, self.run_config, self._show).status
        words = "grokked" if status["grokked"] else "stopped without grokking"
        accuracy = f"test accuracy {status['test_accuracy']:.3f}"
        self.output.result({"run": str(path), **status}, f"{words} at step {status['step']}, {accuracy}\n{path}")

    def _show(self, status: dict[str, Any]) -> None:
        ratio = f"{status['sigma_ratio']:.2f}" if status["sigma_ratio"] else "—"
        self.output.say(
            f"step {status['step']:6d}  train {status['train_accuracy']:.3f}  test {status['test_accuracy']:.3f}  "
            f"σ₁/σ₂ {ratio}  {status['steps_per_second']:.0f} steps/s"
        )
