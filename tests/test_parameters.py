import pytest
import torch
from torch import nn

import spectral_edge as se


def test_attention_weights_of_the_paper_model_are_131072_in_reference_layout():
    model = se.ModularTransformer(p=97)
    subset = se.attention_weights(model)
    assert subset.dim == 2 * 4 * 128 * 128
    expected = [
        f"encoder.layers.{i}.self_attn.{name}" for i in (0, 1) for name in ("in_proj_weight", "out_proj.weight")
    ]
    assert list(subset.names) == expected
    assert subset.n_heads == 4


def test_unflatten_inverts_flatten_also_for_stacks():
    subset = se.select_parameters(nn.Linear(3, 2), "")
    stack = torch.randn(5, subset.dim)
    named = subset.unflatten(stack)
    assert named["weight"].shape == (5, 2, 3)
    torch.testing.assert_close(torch.cat([w.flatten(1) for w in named.values()], dim=1), stack)


def test_a_single_number_is_a_parameter_like_any_other():
    subset = se.ParameterSubset({"scale": nn.Parameter(torch.tensor(1.5)), "weight": nn.Parameter(torch.ones(2))})
    assert subset.flatten().tolist() == [1.5, 1.0, 1.0]
    assert subset.unflatten(torch.tensor([7.0, 8.0, 9.0]))["scale"].item() == 7
    assert subset.unflatten(torch.ones(4, 3))["scale"].shape == (4,)


def test_flatten_reads_live_values_and_other_states():
    layer = nn.Linear(2, 1, bias=False)
    subset = se.select_parameters(layer, "weight")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    assert subset.flatten().tolist() == [1.0, 2.0]
    assert subset.flatten({"weight": torch.tensor([[3.0, 4.0]])}).tolist() == [3.0, 4.0]


def test_tied_parameters_appear_once():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert se.select_parameters(model, "weight").dim == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: se.attention_weights(nn.Linear(2, 2)), "no nn.MultiheadAttention"),
        (lambda: se.select_parameters(nn.Linear(2, 2), "attn"), "it has weight, bias"),
        (lambda: se.select_parameters(nn.Linear(2, 2), "").unflatten(torch.zeros(5)), "5 entries.*has 6"),
        (lambda: se.select_parameters(nn.Linear(2, 2), "").flatten({"weight": torch.zeros(1)}), "shape"),
    ],
)
def test_errors_name_the_thing_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_flatten_names_a_missing_parameter():
    with pytest.raises(KeyError, match="bias"):
        se.select_parameters(nn.Linear(2, 2), "").flatten({"weight": torch.zeros(2, 2)})
