"""``spectral-edge train``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from spectral_edge.cli.output import Output, integers
from spectral_edge.grokking import TrainingConfig
from spectral_edge.subjects import RunConfig, run_folder, train_runs

__all__ = ["Train"]


@dataclass(frozen=True)
class Train:
    """Train one model, or several seeds of it, and record updates; the same command continues an interrupted run.

    Example:  spectral-edge train --operation mul --seed 137 --out runs/mine
    """

    out: Path = Path("runs/mine")
    """Where to keep the run: OUT/runs/<operation>-s<seed>-<hash of the configuration>."""
    seeds: str = ""
    """Seeds to train in lockstep instead of --seed, separated by commas: one pass for all, as an accelerator needs."""
    run_config: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, resume, or find the runs finished."""
        training = self.run_config.training
        configs = [
            self.run_config.model_copy(update={"training": TrainingConfig(**training.model_dump() | {"seed": seed})})
            for seed in integers("--seeds", self.seeds) or [training.seed]
        ]
        runs = train_runs([(run_folder(self.out, config), config) for config in configs], self._show)
        results = [{"run": str(run.path), **run.status} for run in runs]
        self.output.result(results[0] if len(runs) == 1 else {"runs": results}, "\n".join(map(_words, results)))

    def _show(self, status: dict[str, Any]) -> None:
        ratio = f"{status['sigma_ratio']:.2f}" if status["sigma_ratio"] else "—"
        self.output.say(
            f"step {status['step']:6d}  train {status['train_accuracy']:.3f}  test {status['test_accuracy']:.3f}  "
            f"σ₁/σ₂ {ratio}  {status['steps_per_second']:.0f} steps/s"
        )


def _words(result: dict[str, Any]) -> str:
    words = "grokked" if result["grokked"] else "has not grokked"
    return f"{words}; ended at step {result['step']}, test accuracy {result['test_accuracy']:.3f}\n{result['run']}"
