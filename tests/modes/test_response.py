import numpy as np
import pytest
import torch
from torch import nn

import spectral_edge as se
from oracles.plain_transformer import PlainTransformer
from spectral_edge.grokking import tangent
from spectral_edge.modes import map_responses, responder, response


@pytest.fixture
def model():
    torch.manual_seed(0)
    return se.ModularTransformer(p=11, d_model=16, n_heads=2, d_mlp=24)


PAIRS = se.ModularTask("add", p=11).pairs


def test_linear_model_has_its_closed_form():
    layer = nn.Linear(3, 2, bias=False).double()
    subset = se.select_parameters(layer, "weight")
    directions, inputs = torch.randn(4, 6, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    exact = torch.einsum("kdi,ni->knd", directions.reshape(4, 2, 3), inputs)
    for method in ("jvp", "finite_difference"):
        modes = se.functional_modes(
            layer, directions, inputs, parameters=subset, method=method, forward=lambda m, x: m(x)
        )
        torch.testing.assert_close(modes.response, exact)
        torch.testing.assert_close(modes.energy, exact.square().sum(-1))


def test_jvp_equals_the_jacobian_of_the_plain_twin(model):
    """Reverse mode, one output at a time, through nn.TransformerEncoder in float64."""
    plain = PlainTransformer(p=11, d_model=16, n_heads=2, d_mlp=24)
    plain.load_state_dict(model.state_dict())
    plain.double()
    directions = se.random_directions(3, se.attention_weights(model).dim, seed=1)
    pairs = torch.from_numpy(PAIRS[:4])
    modes = se.functional_modes(model, directions, pairs)
    subset = se.attention_weights(plain)
    residual = plain.residual(pairs[:, 0], pairs[:, 1])
    for n, j in [(0, 0), (1, 5), (3, 15)]:
        grads = torch.autograd.grad(residual[n, j], list(subset.parameters.values()), retain_graph=True)
        gradient = subset.flatten(dict(zip(subset.names, grads, strict=True)))
        torch.testing.assert_close(
            modes.response[:, n, j].double(), directions.double() @ gradient, rtol=1e-4, atol=1e-6
        )


def test_jvp_works_through_torch_s_own_attention(model):
    plain = PlainTransformer(p=11, d_model=16, n_heads=2, d_mlp=24)
    plain.load_state_dict(model.state_dict())
    directions = se.random_directions(2, se.attention_weights(model).dim, seed=1)
    theirs = se.functional_modes(
        plain,
        directions,
        PAIRS,
        parameters=se.attention_weights(plain),
        forward=lambda m, x: m.residual(x[:, 0], x[:, 1]),
    )
    ours = se.functional_modes(model, directions, PAIRS)
    torch.testing.assert_close(theirs.response, ours.response, rtol=1e-4, atol=1e-5)


def test_finite_difference_converges_to_the_derivative_in_proportion_to_epsilon(model):
    model.double()
    directions = se.random_directions(2, se.attention_weights(model).dim, seed=2).double()
    exact = se.functional_modes(model, directions, PAIRS)
    errors = [
        se.discrepancy(
            exact,
            se.functional_modes(model, directions, PAIRS, method="finite_difference", relative_epsilon=epsilon),
        ).numpy()
        for epsilon in (4e-3, 2e-3, 1e-3)
    ]
    np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=0.05)
    np.testing.assert_allclose(errors[1] / errors[2], 2, rtol=0.05)


def test_finite_difference_is_the_published_difference_over_epsilon(model):
    subset = se.attention_weights(model)
    direction = se.random_directions(1, subset.dim, seed=3)
    modes = se.functional_modes(model, direction, PAIRS, method="finite_difference")
    assert modes.epsilon == pytest.approx(0.005 * subset.flatten().norm().item(), rel=1e-6)
    a, b = torch.from_numpy(PAIRS).T
    with torch.no_grad():
        before = model(a, b, return_residual=True)[1]
        for name, v in subset.unflatten(direction[0]).items():
            subset.parameters[name] += modes.epsilon * v
        after = model(a, b, return_residual=True)[1]
    torch.testing.assert_close(modes.response[0] * modes.epsilon, after - before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["jvp", "finite_difference"])
def test_directions_may_be_numpy_float64(model, method):
    directions = se.random_directions(1, se.attention_weights(model).dim, seed=3)
    theirs = se.functional_modes(model, directions.double().numpy(), PAIRS, method=method)
    ours = se.functional_modes(model, directions, PAIRS, method=method)
    assert torch.equal(theirs.response, ours.response)


@pytest.mark.parametrize("forward", [None, lambda model, x: model(x[:, 0], x[:, 1], return_residual=True)[1]])
@pytest.mark.parametrize("method", ["jvp", "finite_difference"])
def test_result_does_not_depend_on_the_batching(model, monkeypatch, method, forward):
    directions = se.random_directions(5, se.attention_weights(model).dim, seed=4)
    whole = se.functional_modes(model, directions, PAIRS, method=method, forward=forward)
    for place in (response, responder):
        monkeypatch.setattr(place, "DIRECTIONS_AT_ONCE", 2)
    monkeypatch.setattr(tangent, "_INPUTS_AT_ONCE", 50)
    pieces = se.functional_modes(model, directions, PAIRS, method=method, forward=forward, batch_size=50)
    rounding = 1e-4 if method == "jvp" else 1e-2  # a quotient divides the rounding of h by its step
    torch.testing.assert_close(whole.response, pieces.response, rtol=rounding, atol=1e-2 * rounding)


def test_the_bits_do_not_depend_on_the_threads(model):
    directions = se.random_directions(37, se.attention_weights(model).dim, seed=4)
    here = torch.get_num_threads()
    alone, shared = (
        torch.cat(list(map_responses(torch.neg, model, directions, torch.as_tensor(PAIRS), threads=threads)))
        for threads in (1, 2)
    )
    torch.set_num_threads(here)
    assert torch.equal(alone, shared)
    assert not shared.requires_grad
    assert torch.get_num_threads() == here
    moved = map_responses(len, model, directions[:9], torch.as_tensor(PAIRS), method="finite_difference", threads=2)
    assert list(moved) == [8, 1]


def test_the_model_is_left_as_it_was(model):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for method in ("jvp", "finite_difference"):
        se.functional_modes(model, se.random_directions(1, se.attention_weights(model).dim, 0), PAIRS, method=method)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": torch.zeros(1, 5)}, r"must be \(k, 2048\)"),
        ({"directions": torch.zeros(1, 2048)}, "zero or not finite"),
        ({"directions": torch.full((1, 2048), torch.nan)}, "zero or not finite"),
        ({"method": "fd"}, "choose one of jvp, finite_difference"),
        ({"inputs": PAIRS[:0]}, "no inputs"),
        ({"method": "finite_difference", "relative_epsilon": 0.0}, "must be positive"),
    ],
)
def test_errors(model, change, message):
    arguments = {"directions": torch.ones(1, 2048), "inputs": PAIRS} | change
    with pytest.raises(ValueError, match=message):
        se.functional_modes(model, **arguments)
