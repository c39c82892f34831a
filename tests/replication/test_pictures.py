"""What figures are drawn from: spectra and maps of the edge beside those of random directions."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.pictures import PICTURES
from spectral_edge.replication.run_analysis import drawn_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS


def test_spectra_are_those_of_the_functions_on_held_out_pairs(trained):
    run = TrainedRun.open(trained["add"])
    arrays = drawn_run(trained["add"], TINY_ANALYSIS).arrays
    model, parameters = run.model_at(60)
    test = run.task.split(0.5, 42).test
    random = torch.cat(list(se.iterate_random_directions(20, parameters, seed=TINY_ANALYSIS.seed)))
    for name, directions in (("power", run.edge(60, 9, 5, True).directions(8)), ("null", random)):
        energy = se.functional_modes(model, directions, run.task.pairs[test], parameters=parameters).energy
        power = se.fourier_profile(energy, run.task.labels[test], 13).power
        expected = power / power.sum(1, keepdims=True)
        np.testing.assert_allclose(arrays[f"profile.final.sum.{name}"], expected, rtol=1e-3, atol=1e-6)


def test_maps_have_a_cell_a_pair(trained):
    run = TrainedRun.open(trained["sub"])
    arrays = drawn_run(trained["sub"], TINY_ANALYSIS).arrays
    model, parameters = run.model_at(60)
    v1 = run.edge(60, 9, 5, True).directions(1)
    energy = se.functional_modes(model, v1, np.array([[3, 5]]), parameters=parameters).energy
    assert arrays["energy.final"][0, 3, 5] == pytest.approx(float(energy[0, 0]), rel=1e-3)
    assert arrays["energy_random.final"].shape == (1, 13, 13)


@pytest.mark.parametrize(
    ("changes", "applies"),
    [({}, True), ({"weight_decay": 0.0}, False), ({"operation": "x3_xy"}, False), ({"nonzero": True}, False)],
)
def test_which_runs_are_drawn(changes, applies):
    assert PICTURES.applies(TrainingConfig(**({"operation": "add"} | changes))) is applies
