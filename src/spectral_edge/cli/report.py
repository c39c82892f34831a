"""``spectral-edge report``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.replication import QUICK_CLAIMS, AnalysisConfig, analyses_of, assemble, find_analyses
from spectral_edge.report import (
    findings_id,
    findings_markdown,
    is_recording,
    update_findings,
    write_recording_report,
    write_report,
)
from spectral_edge.store import Claims

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Write the report of a reproduction, or of one analysed run: one HTML file, figures (PNG, PDF), tables (CSV).

    Of a recording of `watch`, the figure of its spectrum over training.

    Example:  spectral-edge report runs/quick
    """

    path: tyro.conf.Positional[Path]
    """A result directory of `reproduce`, one analysed run directory, or the run_dir of `watch`."""
    out: Path | None = None
    """Where to write; by default into PATH."""
    findings: Path | None = None
    """A Markdown file whose generated section for these results is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read stored results and draw them."""
        if is_recording(self.path):
            figure = write_recording_report(self.path, self.out or self.path)
            self.output.result({"figure": str(figure)}, str(figure))
            return
        stored = self.path / "claims.json"
        if stored.exists():
            claims = Claims.read(stored)
            analyses = analyses_of(self.path, claims)
        else:
            analyses = find_analyses(self.path, self.config)
            claims = assemble(analyses, self.config, "custom", 0.0, QUICK_CLAIMS)
        page = write_report(claims, analyses, self.out or self.path)
        if self.findings is not None:
            update_findings(self.findings, findings_id(claims), findings_markdown(claims, _day_written(stored)))
        self.output.result({"report": str(page)}, str(page))


def _day_written(path: Path) -> str | None:
    """The day of the file, so that the same results give the same record; ``None`` if there is no file."""
    return date.fromtimestamp(path.stat().st_mtime).isoformat() if path.exists() else None
