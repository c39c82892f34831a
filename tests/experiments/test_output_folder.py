"""Who gives a file as output folder is told so, before anything is trained."""

from pathlib import Path

import pytest

from spectral_edge.experiments.causes import gather_causes
from spectral_edge.experiments.discovery import gather_evidence
from spectral_edge.experiments.language import LanguageConfig, measure_seed
from spectral_edge.experiments.rounding import compare_copies
from spectral_edge.replication import AnalysisConfig
from spectral_edge.replication.decision.evidence import gather_arm, measure_arm, measure_reproduction, restore_arm
from spectral_edge.store import StoreError
from spectral_edge.subjects.profiles import single_run

WRITERS = {
    "causes": gather_causes,
    "copies": lambda out: compare_copies(out, [], AnalysisConfig()),
    "discovery": lambda out: gather_evidence(out, [], AnalysisConfig()),
    "language": lambda out: measure_seed(out, 0, LanguageConfig()),
    "an arm measured": lambda out: measure_arm(out, "seeds"),
    "an arm gathered": lambda out: gather_arm(out, "seeds", out),
    "an arm restored": lambda out: restore_arm(out, "seeds", out),
    "a reproduction": lambda out: measure_reproduction(out, single_run("add", 42), out),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_as_output_folder_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.write_text("precious")
    with pytest.raises(StoreError, match=r"out.*file"):
        WRITERS[name](out)
    assert out.read_text() == "precious"
