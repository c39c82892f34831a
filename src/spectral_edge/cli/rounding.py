"""``spectral-edge rounding``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.report import rounding_markdown, update_findings, write_rounding_report
from spectral_edge.studies import AnalysisConfig
from spectral_edge.studies.rounding import compare_copies, rounding_points, rounding_runs

__all__ = ["Rounding"]


@dataclass(frozen=True)
class Rounding:
    """Ask what of a run is its seed's and what is rounding's: copies whose learning rates are neighbours in float32.

    Trains five copies of three seeds of four operations, and writes rounding.json, tables and a figure. Killed at any
    moment, the same command continues.

    Example:  spectral-edge rounding --out runs/rounding
    """

    out: Path = Path("runs/rounding")
    """Where runs, rounding.json, figures and tables go."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    findings: Path | None = None
    """A Markdown file whose generated section on rounding is replaced, or added on top."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, tabulate, draw."""
        found = compare_copies(self.out, rounding_runs(), AnalysisConfig(), self.jobs, self.output.say)
        points = rounding_points(found)
        figures = write_rounding_report(points, found, self.out)
        if self.findings is not None:
            commit, day = found.environment.get("git_commit"), date.today().isoformat()
            update_findings(self.findings, "rounding", rounding_markdown(points, commit, day))
        values = {"results": str(self.out / "rounding.json"), "points": [p.__dict__ for p in points]}
        self.output.result(values, "\n".join(map(str, [self.out / "rounding.json", *figures])))
