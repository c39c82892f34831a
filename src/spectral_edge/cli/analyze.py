"""``spectral-edge analyze``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.replication import AnalysisConfig, analyze_run

__all__ = ["Analyze"]


@dataclass(frozen=True)
class Analyze:
    """Find the edge of a trained run, turn it into functional modes, and test them against their nulls.

    Example:  spectral-edge analyze runs/quick/runs/add-s42-0123456789 --window 10
    """

    run_path: tyro.conf.Positional[Path]
    """A run directory (it holds config.json)."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Analyse, or find the analysis done, and print each measured number beside its null."""
        analysis = analyze_run(self.run_path, self.config, say=self.output.say, threads=os.cpu_count() or 1)
        lines = [
            f"{row.claim:4} {row.checkpoint:10} {row.direction or '':14} {row.statistic:16} {row.grouping or '':24} "
            f"{row.inputs or '':22} "
            f"{row.measured:7.3f}  null {row.null.mean:.3f} (95 % {row.null.quantile95:.3f})  p {row.null.pvalue:.3f}"
            for row in analysis.rows
            if row.null is not None
        ]
        values = {"run": str(self.run_path), "rows": [row.model_dump() for row in analysis.rows]}
        edges = ", ".join(f"k* = {k} at {place}" for place, k in analysis.summary.edge_position.items())
        draw = shlex.join(["spectral-edge", "report", str(self.run_path), *_options(self.config)])
        lines.append(f"{len(lines)} numbers; edge: {edges}. Draw them: {draw}")
        self.output.result(values, "\n".join(lines))


def _options(config: AnalysisConfig) -> Iterator[str]:
    """The options that give a configuration, in so far as it is not that of no options."""
    for name, default in AnalysisConfig():
        value, option = getattr(config, name), name.replace("_", "-")
        if value != default and isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        elif value != default:
            yield from (f"--{option}", str(value))
