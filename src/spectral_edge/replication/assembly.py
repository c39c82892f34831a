"""Put the analyses of several runs together into one table of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from spectral_edge.replication.aggregation import combine_seeds
from spectral_edge.replication.catalogue import STUDIES
from spectral_edge.replication.run_analysis import stored_analysis
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import Analysis, Numbers, RunMissingError, RunSummary, StoreError, describe_environment

__all__ = ["analyses_of", "assemble", "find_analyses"]


def assemble(
    analyses: Sequence[Analysis], config: AnalysisConfig, profile: str, wall_seconds: float, claims: Iterable[str]
) -> Numbers:
    """Combine seeds, and add what studies say across runs.

    Args:
        analyses: of all runs, each once.
        config: that of all of them.
        profile: name for the table.
        wall_seconds: time of the whole.
        claims: which claims the table is about.

    Raises:
        StoreError: two runs have different protocols.
    """
    _check_protocols([analysis.summary for analysis in analyses])
    wanted = set(claims)
    rows = [row for analysis in analyses for row in analysis.rows]
    rows += [row for study in STUDIES if study.across and wanted & set(study.claims) for row in study.across(analyses)]
    rows = [row for row in rows if row.claim in wanted]
    rows = [*combine_seeds(rows), *rows]
    rows.sort(key=lambda row: int(row.claim[1:]))
    seconds: Counter[str] = Counter()
    for analysis in analyses:
        seconds.update(analysis.summary.seconds)
    return Numbers(
        profile=profile,
        environment=describe_environment(),
        wall_seconds=wall_seconds,
        stage_seconds={name: round(value, 1) for name, value in sorted(seconds.items())},
        analysis=config.model_dump(mode="json"),
        runs=[analysis.summary for analysis in analyses],
        rows=rows,
    )


def _check_protocols(runs: Sequence[RunSummary]) -> None:
    for run in runs[1:]:
        different = [key for key, value in run.protocol.items() if runs[0].protocol.get(key) != value]
        if different:
            values = "; ".join(f"{key} {runs[0].protocol.get(key)} and {run.protocol[key]}" for key in different)
            raise StoreError(
                f"{runs[0].run_id} and {run.run_id} were trained by different protocols ({values}): numbers of the two "
                "do not belong into one table. Keep runs of each protocol in a directory of their own."
            )


def analyses_of(path: Path, numbers: Numbers) -> list[Analysis]:
    """The stored analyses that a table was assembled from; a run that is no longer there is left out.

    Raises:
        StoreError: a stored analysis is damaged.
    """
    config = AnalysisConfig.model_validate(numbers.analysis)
    found = (stored_analysis(path / "runs" / run.run_id, config) for run in numbers.runs)
    return [analysis for analysis in found if analysis is not None]


def find_analyses(path: Path, config: AnalysisConfig) -> list[Analysis]:
    """Stored analyses of a run directory, or of all runs under ``path/runs``, by run id.

    Raises:
        RunMissingError: there is no analysed run; the message says which command makes one.
        StoreError: a stored analysis is damaged.
    """
    folders = [path] if (path / "config.json").exists() else sorted((path / "runs").glob("*/"))
    if not folders:
        raise RunMissingError(
            f"{path}: "
            + ("no run is here, and none in its folder runs." if path.is_dir() else "there is no such directory.")
            + " Give a run directory (it holds config.json), or what `train` or `reproduce` wrote to."
        )
    found = [analysis for folder in folders if (analysis := stored_analysis(folder, config)) is not None]
    if not found:
        others = any(any(folder.glob("analysis-*")) for folder in folders)
        remedy = "pass the options that `analyze` had" if others else f"first: spectral-edge analyze {folders[0]}"
        raise RunMissingError(f"{path}: no run here is analysed{' with these options' if others else ''}; {remedy}")
    return found
