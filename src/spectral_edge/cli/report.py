"""``spectral-edge report``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.report import write_report
from spectral_edge.store import read_claims
from spectral_edge.studies import AnalysisConfig, assemble, find_analyses

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Write the report of a reproduction, or of one analysed run: one HTML file, figures (PNG, PDF), tables (CSV).

    Example:  spectral-edge report runs/quick
    """

    path: tyro.conf.Positional[Path]
    """A result directory of `reproduce`, or one analysed run directory."""
    out: Path | None = None
    """Where to write; by default into PATH."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read stored results and draw them."""
        analyses = find_analyses(self.path, self.config)
        stored = self.path / "claims.json"
        claims = read_claims(stored) if stored.exists() else assemble(analyses, "custom", 0.0)
        page = write_report(claims, analyses, self.out or self.path)
        self.output.result({"report": str(page)}, str(page))
