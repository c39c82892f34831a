"""The paper's own sizes: minutes to hours, so only with ``pytest -m slow``."""

import json

import pytest

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication import AnalysisConfig, ReproduceConfig, analyze_run, reproduce
from spectral_edge.subjects import RunConfig, train_run
from support import golden


@pytest.mark.slow
def test_subtraction_comes_to_the_published_frequencies(tmp_path):
    """Seed 42 to the stopping rule: v1 and v3 peak where the paper prints it (C8: v1 ω16, v2 ω6, v3 ω32)."""
    run = train_run(tmp_path / "sub", RunConfig(training=TrainingConfig(operation="sub", seed=42)))
    assert run.status["grokked"]
    rows = analyze_run(tmp_path / "sub", AnalysisConfig(random_directions=20, permutations=20), ["C8"]).rows
    peaks = {row.direction: row.peak for row in rows if row.statistic == "concentration"}
    assert (peaks["v1"], peaks["v3"]) == (16, 32)


@pytest.mark.slow
def test_the_quick_profile_comes_to_the_kept_rows(tmp_path):
    """Seven minutes. Training has the same bits on x86-64 with AVX2; what is read of a model agrees to rounding."""
    claims = reproduce(tmp_path, ReproduceConfig()).claims
    rows = json.loads(json.dumps([row.model_dump(mode="json", by_alias=True) for row in claims.rows]))
    assert golden.differences(rows, golden.kept(golden.FOLDER / "quick.json.gz"), tolerance=1e-3) == []
