import numpy as np
import pytest
import torch

from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.modes import functional_modes
from spectral_edge.parameters import attention_weights
from spectral_edge.replication.shared_trunk.responses import trunk_responses
from spectral_edge.representation import RidgeProbe, mirror_folds
from spectral_edge.statistics import random_directions

P = 7


@pytest.fixture(scope="module", params=[("add",), ("add", "mul", "x2_y2")])
def model(request):
    torch.manual_seed(0)
    model = ModularTransformer(P, request.param, d_model=8, n_heads=2, d_mlp=8)
    with torch.no_grad():  # a fresh norm has gain 1 and bias 0, which would hide their absence
        model.ln.weight.uniform_(0.5, 2)
        model.ln.bias.normal_()
    return model


@pytest.fixture(scope="module")
def measured(model):
    pairs = ModularTask("add", P, nonzero=True).pairs
    features = np.random.default_rng(0).normal(size=(len(pairs), 3))
    probe = RidgeProbe(features, sets={"one": slice(0, 1), "all": slice(0, 3)}, folds=mirror_folds(pairs, 3, 0))
    parameters = attention_weights(model)
    directions = random_directions(9, parameters.dim, 0)
    found = trunk_responses(model, directions, pairs, parameters, probe, ("trunk", "head_add"))
    return pairs, directions, probe, found


def test_the_trunk_is_the_residual_stream(model, measured):
    pairs, directions, _, found = measured
    twin = functional_modes(model, directions, pairs)
    np.testing.assert_allclose(found.energy["trunk"], twin.energy, rtol=1e-4)


def test_a_head_moves_as_the_derivative_of_its_centred_logits_says(model, measured):
    pairs, directions, probe, found = measured
    for task in model.tasks:

        def centred_logits(model, inputs, task=task):
            outputs = model(inputs[:, 0], inputs[:, 1])
            logits = outputs[task] if isinstance(outputs, dict) else outputs
            return logits - logits.mean(-1, keepdim=True)

        twin = functional_modes(model, directions, pairs, forward=centred_logits)
        np.testing.assert_allclose(found.energy[f"head_{task}"], twin.energy, rtol=1e-3, atol=1e-9)
        if task == "add":
            fit = probe.r2(twin.response.numpy())
            np.testing.assert_allclose(found.r2["head_add"], [fit.in_sample, fit.cross_validated], atol=1e-4)


def test_only_the_probed_readings_are_probed(model, measured):
    *_, found = measured
    assert set(found.r2) == {"trunk", "head_add"}
    assert set(found.energy) == {"trunk", *(f"head_{task}" for task in model.tasks)}
    assert found.r2["trunk"].shape == (2, 2, 9)


def test_a_probe_without_folds_is_refused(model, measured):
    pairs, directions, *_ = measured
    with pytest.raises(ValueError, match="no folds"):
        trunk_responses(
            model, directions[:1], pairs, attention_weights(model), RidgeProbe(np.eye(len(pairs))), ("trunk",)
        )
