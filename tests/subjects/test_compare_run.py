"""A comparison on a stored run: measured values against functional modes read by hand, and where draws come from."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.subjects import train_run
from spectral_edge.subjects.compare_run import compare_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import tiny

EDGE = {"window": 4, "stride": 5}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("compared") / "mul"
    train_run(path, tiny("mul"))
    return TrainedRun.open(path)


def test_measured_values_are_those_of_the_edge_s_modes_in_the_task_s_basis(run):
    found = compare_run(run, 60, k=2, draws=10, **EDGE)
    model, _ = run.model_at(60)
    pairs = run.task.pairs[run.task.split(0.5, 42).test]
    updates = torch.stack([run.weights_at(s + 5) - run.weights_at(s) for s in (40, 45, 50, 55)])
    modes = se.functional_modes(model, se.spectral_edge(updates).directions(2), pairs)
    q = se.grouping("discrete_log", 13)
    expected = se.fourier_profile(modes.energy, q(pairs), q.order).concentration
    rows = found.table.filter(statistic="concentration", null="weights")
    np.testing.assert_allclose(rows["measured"], expected, rtol=1e-4)
    assert set(found.table["statistic"]) == {"concentration", "variance_share", "peakedness"}
    assert found.protocol["grouping"] == "discrete_log"
    assert (found.protocol["step"], found.protocol["stride"], found.protocol["window"]) == (60, 5, 4)


def test_other_phases_are_the_windows_that_do_not_overlap(run):
    found = compare_run(run, 50, nulls=["other_phases", "isotropic"], draws=10, **EDGE)
    assert found.table.filter(null="other_phases")["draws"].unique().to_list() == [1]  # 10 … 30; 70 is not reached
    with pytest.raises(ValueError, match="no other window of 10 updates"):
        compare_run(run, 60, nulls=["other_phases"], window=10, stride=5)
