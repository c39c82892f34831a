import pytest

from spectral_edge.experiments.discovery import gather_evidence
from support.tiny_runs import EVIDENCE_RUNS, TINY_ANALYSIS


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    out = tmp_path_factory.mktemp("evidence")
    said = []
    return out, gather_evidence(out, EVIDENCE_RUNS, TINY_ANALYSIS, jobs=1, say=said.append), said
