"""``spectral-edge compare``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from spectral_edge.cli.output import Output, listed
from spectral_edge.store import Checkpoint, make_folder
from spectral_edge.subjects.compare_run import compare_run
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Compare"]

_NUMBERS = ("measured", "null_mean", "null_std", "effect", "pvalue", "pvalue_adjusted")


@dataclass(frozen=True)
class Compare:
    """Ask whether the edge directions of a run are special, or whether any matched direction would do it.

    Prints one line a direction, statistic and null; writes comparison.json and comparison.png into the run, or --out.

    Example:  spectral-edge compare runs/quick/runs/add-s42-0123456789 --k 3
    """

    run_path: tyro.conf.Positional[Path]
    """A run directory (it holds config.json)."""
    checkpoint: Checkpoint = "stop"
    """Named step at which the directions are applied to the weights."""
    step: int | None = None
    """Optimizer step of a snapshot, in place of a checkpoint."""
    window: int = 20
    """Updates in the window, W."""
    stride: int = 100
    """Optimizer steps per update."""
    center: bool = True
    """Subtract the window mean before the edge is found."""
    k: int | None = None
    """Directions to test; by default as many as the edge has."""
    nulls: str | None = None
    """Comma-separated: isotropic, span, weights, blocks, inputs, other_phases; by default the first five."""
    inputs: Literal["test", "all"] = "test"
    """Pairs on which the responses are read: held-out ones, or all."""
    draws: int = 200
    """Random directions of each null."""
    seed: int = 0
    """Seed of the draws."""
    out: Path | None = None
    """Where comparison.json and comparison.png go; by default into the run."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Compare, write, print."""
        run = TrainedRun.open(self.run_path)
        step = run.step_of(self.checkpoint, self.window) if self.step is None else self.step
        if step is None:
            raise ValueError(
                f"{self.run_path}: the run has no {self.checkpoint}; name a step: --step N, or another --checkpoint"
            )
        found = compare_run(
            run,
            step,
            window=self.window,
            stride=self.stride,
            center=self.center,
            k=self.k,
            nulls=None if self.nulls is None else listed(self.nulls),
            inputs=self.inputs,
            draws=self.draws,
            seed=self.seed,
        )
        folder = self.out or self.run_path
        make_folder(folder)
        found.save(folder / "comparison.json")
        found.plot(folder / "comparison.png")
        lines = [_line(row) for row in found.table.to_dicts()]
        values = {
            "comparison": str(folder / "comparison.json"),
            "protocol": found.protocol,
            "rows": found.table.to_dicts(),
        }
        self.output.result(values, "\n".join([*lines, str(folder / "comparison.png")]))


def _line(row: dict[str, Any]) -> str:
    numbers = {name: "none" if row[name] is None else f"{row[name]:.3f}" for name in _NUMBERS}
    return (
        f"v{row['direction']:<3} {row['statistic']:16} {row['null']:14} {numbers['measured']:>7}  null "
        f"{numbers['null_mean']} ± {numbers['null_std']}  effect {numbers['effect']:>7}  "
        f"p {numbers['pvalue']} (adjusted {numbers['pvalue_adjusted']})"
    )
