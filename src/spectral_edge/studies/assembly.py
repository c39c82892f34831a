"""Put the analyses of several runs together into one claims table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectral_edge.store import Analysis, Claims, RunMissingError, describe_environment
from spectral_edge.studies.run_analysis import stored_analysis
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.verdicts import adjust_table, judge

__all__ = ["assemble", "find_analyses"]


def assemble(analyses: Sequence[Analysis], profile: str, wall_seconds: float) -> Claims:
    """Adjust p-values over all rows of a claim, judge every claim, and list the runs."""
    rows = adjust_table([row for analysis in analyses for row in analysis.rows])
    rows.sort(key=lambda row: int(row.claim[1:]))
    return Claims(
        profile=profile,
        environment=describe_environment(),
        wall_seconds=wall_seconds,
        runs=[analysis.summary for analysis in analyses],
        rows=rows,
        verdicts=judge(rows),
    )


def find_analyses(path: Path, config: AnalysisConfig) -> list[Analysis]:
    """Stored analyses of a run directory, or of all runs under ``path/runs``, by run id.

    Raises:
        RunMissingError: there is no analysed run; the message says which command makes one.
        StoreError: a stored analysis is damaged.
    """
    folders = [path] if (path / "config.json").exists() else sorted((path / "runs").glob("*/"))
    found = [analysis for folder in folders if (analysis := stored_analysis(folder, config)) is not None]
    if not found:
        raise RunMissingError(f"{path}: no analysed run here. Run `spectral-edge analyze` on a run directory first.")
    return found
