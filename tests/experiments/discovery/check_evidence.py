"""Evidence that is gathered again."""

from spectral_edge.experiments.discovery import (
    gather_evidence,
)
from spectral_edge.store import Discoveries
from support.tiny_runs import EVIDENCE_RUNS as RUNS
from support.tiny_runs import TINY_ANALYSIS


def test_what_is_stored_is_what_was_found_and_is_not_found_again(gathered):
    out, found, _ = gathered
    assert Discoveries.read(out / "discoveries.json") == found
    again = gather_evidence(out, RUNS, TINY_ANALYSIS, jobs=1)
    assert again.rows == found.rows  # with the seconds of the first time: nothing was computed


def test_another_configuration_is_measured_anew(gathered):
    out, found, _ = gathered
    other = gather_evidence(out, RUNS[1:2], TINY_ANALYSIS.model_copy(update={"window": 5}), jobs=1)
    assert {row.window for row in other.rows} == {5, None}
    assert {row.window for row in found.rows} == {9, None}
