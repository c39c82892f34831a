"""``spectral-edge early-warning``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.report import early_warning_markdown, update_findings, write_early_warning_report
from spectral_edge.store import write_early_warnings
from spectral_edge.studies.early_warning import (
    WarningConfig,
    by_rank,
    early_warnings,
    row_label,
    rows_of,
    second_runs,
    sweep_runs,
    trace_statistics,
    warning_points,
    watch_runs,
)
from spectral_edge.subjects import run_folder

__all__ = ["EarlyWarning"]


@dataclass(frozen=True)
class EarlyWarning:
    """Ask whether the update spectrum warns that a run is about to generalise, beside what needs no spectrum.

    Trains nothing: reads the runs of `reproduce --profile paper` and `discover-evidence`. Writes early_warning.json,
    tables and figures.

    Example:  spectral-edge early-warning --paper runs/paper --discovery runs/discovery --out runs/early_warning
    """

    paper: Path = Path("runs/paper")
    """Result directory with the runs of the paper's sweep, which set the thresholds."""
    discovery: Path = Path("runs/discovery")
    """Result directory with the runs of the second set, which are only judged."""
    out: Path = Path("runs/early_warning")
    """Where early_warning.json, figures and tables go."""
    findings: Path | None = None
    """A Markdown file whose generated section on early warning is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[WarningConfig] = field(default_factory=WarningConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read, judge, write, draw."""
        sweep, second = (
            watch_runs([run_folder(root, run) for run in runs], self.config, self.output.say)
            for root, runs in ((self.paper, sweep_runs()), (self.discovery, second_runs()))
        )
        found = early_warnings(sweep, second, self.config)
        self.out.mkdir(parents=True, exist_ok=True)
        stored = self.out / "early_warning.json"
        write_early_warnings(stored, found)
        points = warning_points(found)
        write_early_warning_report(points, found.alarms, trace_statistics(sweep, self.config), self.out)
        if self.findings is not None:
            commit, day = found.environment.get("git_commit"), date.today().isoformat()
            update_findings(self.findings, "early-warning", early_warning_markdown(points, commit, day))
        ranked = by_rank(rows_of(found, "seed"))
        lines = [
            f"{row_label(row):48} hits {row.hits} of {row.generalised}, false alarms {row.false_alarms} of {row.others}"
            + ("" if row.median_lead is None else f", median lead {row.median_lead:g}")
            for row in ranked
        ]
        values = {"results": str(stored), "rows": [row.model_dump(mode="json") for row in ranked]}
        self.output.result(values, "\n".join([*lines, str(stored)]))
