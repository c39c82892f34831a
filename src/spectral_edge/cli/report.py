"""``spectral-edge report``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.replication import MODE_CLAIMS, AnalysisConfig, analyses_of, assemble, find_analyses
from spectral_edge.report import (
    answers_table,
    findings_id,
    findings_markdown,
    is_recording,
    update_findings,
    write_decision,
    write_recording_report,
    write_report,
)
from spectral_edge.store import Claims, Numbers

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Write the report of a reproduction, or of one analysed run: one HTML file, figures (PNG, PDF), tables (CSV).

    Of a recording of `watch`, the page of its spectrum over training, with the modes that were kept; of the kept tables
    of `decide`, the figures of the answers.

    Example:  spectral-edge report runs/quick
    """

    path: tyro.conf.Positional[Path]
    """A result directory of `reproduce` or `decide`, one analysed run directory, or the run_dir of `watch`."""
    out: Path | None = None
    """Where to write; by default into PATH."""
    findings: Path | None = None
    """A Markdown file whose generated section for these results is replaced, or added on top."""
    config: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read stored results and draw them."""
        if is_recording(self.path):
            page = write_recording_report(self.path, self.out or self.path)
            self.output.result({"report": str(page)}, str(page))
            return
        stored = self.path / "claims.json"
        if stored.exists() and not (self.path / "numbers.json").exists():
            self._decision(Claims.read(stored))
            return
        claims = None
        if stored.exists():
            claims, numbers = Claims.read(stored), Numbers.read(self.path / "numbers.json")
            analyses = analyses_of(self.path, numbers)
        else:
            analyses = find_analyses(self.path, self.config)
            numbers = assemble(analyses, self.config, "custom", 0.0, MODE_CLAIMS)
        page = write_report(claims, numbers, analyses, self.out or self.path)
        if self.findings is not None:
            record = findings_markdown(claims, numbers, _day_written(stored))
            update_findings(self.findings, findings_id(numbers), record)
        self.output.result({"report": str(page)}, str(page))

    def _decision(self, claims: Claims) -> None:
        figures = write_decision(claims, self.out or self.path)
        if self.findings is not None:
            update_findings(self.findings, "answers", answers_table(claims.answers))
        self.output.result({"figures": list(map(str, figures))}, "\n".join(map(str, figures)))


def _day_written(path: Path) -> str | None:
    """The day of the file, so that the same results give the same record; ``None`` if there is no file."""
    return date.fromtimestamp(path.stat().st_mtime).isoformat() if path.exists() else None
