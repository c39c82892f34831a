"""Bring one run directory to its end: train, then analyse, each from wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spectral_edge.replication.catalogue import studies_for
from spectral_edge.replication.run_analysis import analyze_run
from spectral_edge.replication.study import AnalysisConfig, Study
from spectral_edge.store import RunDirectory
from spectral_edge.subjects.training_run import RunConfig, train_run

__all__ = ["complete_run", "studies_left"]


def complete_run(path: Path, run: RunConfig, analysis: AnalysisConfig, claims: tuple[str, ...]) -> bool:
    """Train the run, and analyse it for ``claims``; returns whether anything was left to compute.

    Args:
        path: the run directory; made if missing.
        run: what to train.
        analysis: how to analyse.
        claims: what to measure; nothing if empty, or if no study of them has business with such a run.

    Raises:
        RunLockedError: another process is at it.
        StoreError, FloatingPointError, ValueError: as :func:`train_run` and :func:`analyze_run`; also if an analysis
            that is stored is damaged.
    """
    steps: list[dict[str, Any]] = []
    train_run(path, run, steps.append)
    if not studies_left(path, run, analysis, claims):
        return bool(steps)
    with RunDirectory.open(path).lock():  # of two that share the run, one analyses it
        left = studies_left(path, run, analysis, claims)
        analyze_run(path, analysis, claims)
    return bool(steps or left)


def studies_left(path: Path, run: RunConfig, analysis: AnalysisConfig, claims: tuple[str, ...]) -> list[Study]:
    """The studies that an analysis for ``claims`` consists of and that have no result of the run as it is now.

    Raises:
        StoreError: the run or a stored analysis is damaged.
    """
    studies = studies_for(claims, run.training, analysis)
    if not any(study.claims for study in studies):
        return []
    last = RunDirectory.open(path).status.get("step")
    stored = {study: study.stored(path, analysis) for study in studies}
    return [study for study, found in stored.items() if found is None or found.summary.steps != last]
