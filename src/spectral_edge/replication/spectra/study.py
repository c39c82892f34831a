"""Spectra of updates, displacements and weights over the whole of single-operation runs: C1 and C2."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.claims.c01_gap import GAP_WINDOW
from spectral_edge.replication.spectra import alignment, gap
from spectral_edge.replication.spectra.history import spectral_history
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.store import Analysis, ClaimRow
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["SPECTRA"]


def _applies(training: TrainingConfig) -> bool:
    return len(training.operations) == 1 and not training.nonzero


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    """Read each snapshot once for both claims; what a run is too short for is left out."""
    say(f"spectra of {len(run.run.snapshot_steps())} snapshots")
    arrays = spectral_history(run, config.stride, tuple(sorted({GAP_WINDOW, config.window})))
    gap_found = gap.gap_rows(run, arrays)
    if not gap_found:
        say(f"fewer than {GAP_WINDOW + 1} updates of stride {config.stride}: no g23 over time")
    return Findings(gap_found + alignment.alignment_rows(run, arrays, config), arrays)


def _across(analyses: Sequence[Analysis]) -> list[ClaimRow]:
    return gap.gap_across(analyses) + alignment.alignment_across(analyses)


SPECTRA = Study("spectra", 3, ("C1", "C2"), _applies, _measure, _across)
