"""Parameters are chosen as for ``watch`` wherever directions are given: by a subset, a pattern or a predicate."""

import pytest
import torch

import spectral_edge as se
from support.linear_models import DIM, INS, gaussian, linear_model, unit

INPUTS = gaussian(12, INS)
V = unit(gaussian(DIM, seed=1))[None]


def energy(h):
    return float(h.square().sum())


def norm(model):
    return {"norm": float(model.weight.detach().norm())}


@pytest.mark.parametrize("chosen", ["weight", "^w", lambda name, parameter: parameter.ndim == 2])
def test_a_choice_is_the_subset_that_it_chooses(chosen):
    model, subset = linear_model()
    for call in (
        lambda p: se.compare(model, V, INPUTS, energy, parameters=p, draws=20, quiet=True).rows,
        lambda p: se.functional_modes(model, V, INPUTS, parameters=p).response.tolist(),
        lambda p: se.intervene(model, V, norm, parameters=p, controls=["theta"]).outcomes,
        lambda p: se.curvature(model, INPUTS, lambda y, x: y.square().mean(), parameters=p)(V[0]),
    ):
        assert repr(call(chosen)) == repr(call(subset))


def test_what_moves_is_only_what_was_chosen():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    found = se.intervene(layers, torch.eye(4)[:1], lambda m: {"w": m[1].weight[0, 0].item()}, parameters="1.weight")
    assert found.outcomes[0].values["w"] == 0
