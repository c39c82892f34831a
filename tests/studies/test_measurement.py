import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import spectral_edge as se
from spectral_edge.studies.measurement import measure, measured_at_random, mixture_names
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS


def test_measures_equal_the_single_functions():
    torch.manual_seed(0)
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    parameters, task = se.attention_weights(model), se.ModularTask("add", 13)
    directions = se.random_directions(10, parameters.dim, seed=0)  # two groups: eight and two
    found = measure(model, directions[:8], [task], parameters)
    modes = se.functional_modes(model, directions, task.pairs)
    np.testing.assert_allclose(found.energy, modes.energy[:8], rtol=1e-6)
    np.testing.assert_allclose(found.effective_rank, se.effective_rank(modes.response[:8]), rtol=1e-6)
    np.testing.assert_allclose(found.head_purity, se.head_purity(directions[:8], parameters), rtol=1e-6)
    # a mixture measured through its own direction, not through sums of responses
    members = {"v1+v2": [0, 1], "v1+v3": [0, 2], "v2+v3": [1, 2], "v1+v2+v3": [0, 1, 2]}
    mixed = torch.stack([directions[members[name]].sum(0) / len(members[name]) ** 0.5 for name in mixture_names()])
    expected = se.functional_modes(model, mixed, task.pairs).energy
    np.testing.assert_allclose(found.mixtures[0], expected, rtol=1e-4, atol=1e-5 * float(expected.max()))
    assert found.triples.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.mixtures.shape == (2, 4, len(task.pairs))
    gradients = loss_gradients(model, task)
    by_chain_rule = (modes.response[:8].double() * gradients).sum(-1)
    np.testing.assert_allclose(found.loss_derivatives[0], by_chain_rule, rtol=1e-4, atol=1e-7)


def loss_gradients(model, task):
    """Of each input's loss with respect to its own residual stream, by automatic differentiation."""
    a, b = torch.from_numpy(task.pairs).T
    h = model(a, b, return_residual=True)[1].detach().double().requires_grad_()
    logits = copy.deepcopy(model).double().head(copy.deepcopy(model).double().ln(h))
    return torch.autograd.grad(F.cross_entropy(logits, torch.from_numpy(task.labels), reduction="sum"), h)[0]


def test_the_first_directions_are_those_measured_alone():
    torch.manual_seed(0)
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    parameters, task = se.attention_weights(model), se.ModularTask("add", 13)
    directions = se.random_directions(24, parameters.dim, seed=0)
    together = measure(model, directions, [task], parameters)
    for n in (3, 8, 12, 13, 14, 24):  # groups of eight have two triples; what is left of a group has its own
        alone, first = measure(model, directions[:n], [task], parameters), together.first(n)
        assert alone.triples.tolist() == first.triples.tolist()
        for name, values in vars(alone).items():
            np.testing.assert_allclose(getattr(first, name), values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_null_of_a_step_is_measured_once(trained):
    run = TrainedRun.open(trained["x2_y2"])
    found = measured_at_random(run, TINY_ANALYSIS, 60)
    assert measured_at_random(run, TINY_ANALYSIS, 60) is found
    assert measured_at_random(run, TINY_ANALYSIS, 55) is not found
    assert measured_at_random(run, TINY_ANALYSIS.model_copy(update={"seed": 1}), 60) is not found
    assert np.isfinite(found.cross_term_r2).all()
    model, parameters = run.model_at(60)
    energy = se.functional_modes(model, se.random_directions(20, parameters.dim, seed=0), run.task.pairs).energy
    np.testing.assert_allclose(found.energy, energy, rtol=1e-4)


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        pytest.skip("asks for a device that is not there")
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    parameters = se.attention_weights(model)
    directions = se.random_directions(3, parameters.dim, seed=0)
    with pytest.raises(ValueError, match=r"device cuda: .* choose cpu"):
        measure(model, directions, [se.ModularTask("add", 13)], parameters, device="cuda")
