"""Analyse one trained run with every study that speaks of the wanted claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spectral_edge.replication.catalogue import FIGURE_STUDIES, MODE_CLAIMS, STUDIES, studies_for
from spectral_edge.replication.study import AnalysisConfig, Say
from spectral_edge.store import Analysis, RunSummary
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["analyze_run", "drawn_run", "stored_analysis"]


def analyze_run(
    path: Path,
    config: AnalysisConfig,
    claims: Iterable[str] = MODE_CLAIMS,
    say: Say | None = None,
    threads: int = 1,
) -> Analysis:
    """Analyse the run at ``path`` for the given claims, or read the analyses that are already there.

    Args:
        path: a run directory, finished or stopped; its last snapshots are used.
        config: the analysis.
        claims: what to measure, C1 … C14.
        say: called with a few words before each stage.
        threads: that share the random directions; the results do not depend on it.

    Raises:
        StoreError: the run is missing or damaged.
        ValueError: the trajectory is too short for the window at the end of the run, there are no evaluations, or no
            study of these claims applies to such a run.
    """
    run = TrainedRun.open(path, threads)
    wanted = list(claims)
    studies = studies_for(wanted, run.training, config)
    if not any(study.claims for study in studies):
        raise ValueError(
            f"{path}: no study of {', '.join(wanted)} has business with a run of {run.training.operation} with weight "
            f"decay {run.training.weight_decay}"
        )
    parts = [study.complete(run, config, say or (lambda stage: None)) for study in studies]
    return _merged(parts, wanted)


def drawn_run(path: Path, config: AnalysisConfig) -> Analysis:
    """What figures of the run at ``path`` are drawn from, measured or read; no numbers of claims.

    Raises:
        StoreError: the run is missing or damaged.
        ValueError: the trajectory is too short for the window at the end of the run, or there are no evaluations.
    """
    run = TrainedRun.open(path)
    studies = [study for study in FIGURE_STUDIES if study.applies(run.training)]
    return _merged([study.complete(run, config, lambda stage: None) for study in studies], [])


def stored_analysis(path: Path, config: AnalysisConfig) -> Analysis | None:
    """Everything that is stored under ``config`` for the run at ``path``; ``None`` if nothing is.

    Raises:
        StoreError: a stored analysis is damaged.
    """
    parts = [part for study in STUDIES if (part := study.stored(path, config)) is not None]
    return _merged(parts, [claim for study in STUDIES for claim in study.claims]) if parts else None


def _merged(parts: Sequence[Analysis], claims: Sequence[str]) -> Analysis:
    """The analyses of one run as one; they have different array names."""
    rows = [row for part in parts for row in part.rows if row.claim in claims]
    arrays = {name: array for part in parts for name, array in part.arrays.items()}
    return Analysis(rows, _merged_summaries([part.summary for part in parts]), arrays)


def _merged_summaries(summaries: Sequence[RunSummary]) -> RunSummary:
    kept: dict[str, Any] = {}
    for name in ("seconds", "analysed_steps", "edge_position", "finite_difference_error"):
        kept[name] = {key: value for summary in summaries for key, value in getattr(summary, name).items()}
    return summaries[0].model_copy(update=kept)
