import pytest
import torch

import spectral_edge as se


def residual(model, pairs):
    return model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]


SHAPES = [
    {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_mlp": 24},
    {"d_model": 24, "n_heads": 3, "n_layers": 1, "d_mlp": 8},
    {"d_model": 8, "n_heads": 1, "n_layers": 3, "d_mlp": 20},
]


def uneven(shape):
    """A model whose gains, biases and layers differ."""
    torch.manual_seed(0)
    model = se.ModularTransformer(p=13, **shape).double()
    with torch.no_grad():
        for w in model.parameters():
            w += 0.3 * torch.randn_like(w)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_closed_form_equals_automatic_forward_differentiation(shape):
    model = uneven(shape)
    subset = se.attention_weights(model)
    directions = se.random_directions(3, subset.dim, seed=0).double()
    pairs = torch.from_numpy(se.ModularTask("add", 13).pairs)  # more than are taken at once
    closed = se.functional_modes(model, directions, pairs).response
    automatic = se.functional_modes(model, directions, pairs, forward=residual).response
    torch.testing.assert_close(closed, automatic, rtol=1e-9, atol=1e-11)


def test_any_inputs_in_any_order_and_more_directions_than_are_taken_at_once():
    model = uneven(SHAPES[0])
    directions = se.random_directions(21, se.attention_weights(model).dim, seed=0).double()
    pairs = torch.tensor([[3, 4], [0, 12], [3, 4], [12, 0], [5, 5]])
    together = se.functional_modes(model, directions, pairs).response
    for direction, found in zip(directions, together, strict=True):
        for pair, response in zip(pairs, found, strict=True):
            alone = se.functional_modes(model, direction[None], pair[None]).response[0, 0]
            torch.testing.assert_close(response, alone, rtol=1e-9, atol=1e-11)


def test_other_subsets_are_differentiated_automatically():
    model = se.ModularTransformer(p=11, d_model=16, n_heads=2, d_mlp=24)
    subset = se.select_parameters(model, r"layers\.1.*out_proj.weight")
    directions = se.random_directions(2, subset.dim, seed=0)
    pairs = se.ModularTask("add", 11).pairs
    exact = se.functional_modes(model, directions, pairs, parameters=subset)
    quotient = se.functional_modes(model, directions, pairs, parameters=subset, method="finite_difference")
    assert (se.discrepancy(exact, quotient) < 0.05).all()
