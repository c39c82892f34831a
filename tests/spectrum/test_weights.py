import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.spectrum import attention_matrices, random_gap_ratios, weight_singular_values


def test_matrices_are_the_thirds_of_the_input_projection_and_the_output_projection():
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    state = model.state_dict()
    matrices = attention_matrices(dict(reversed(state.items())))  # stored tensors come in any order
    letters = ("W_Q", "W_K", "W_V", "W_O")
    assert list(matrices) == [f"layer{layer}.{letter}" for layer in (0, 1) for letter in letters]
    stacked = state["encoder.layers.1.self_attn.in_proj_weight"]
    torch.testing.assert_close(matrices["layer1.W_K"], stacked[16:32])
    torch.testing.assert_close(matrices["layer1.W_V"], stacked[32:])
    torch.testing.assert_close(matrices["layer0.W_O"], state["encoder.layers.0.self_attn.out_proj.weight"])


def test_ten_layers_are_in_order():
    names = [f"encoder.layers.{i}.self_attn.in_proj_weight" for i in (10, 2, 0)]
    assert [n.split(".")[0] for n in attention_matrices({n: torch.zeros(6, 2) for n in names})][::3] == [
        "layer0",
        "layer2",
        "layer10",
    ]


def test_singular_values_are_those_of_a_planted_matrix():
    rng = np.random.default_rng(0)
    u, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    v, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    planted = torch.from_numpy((u * [5, 3, 1, 0.5, 0, 0, 0, 0]) @ v.T)
    sigma = weight_singular_values({"first": planted, "second": 2 * planted}, 3)
    np.testing.assert_allclose(sigma, [[5, 3, 1], [10, 6, 2]], rtol=1e-12)


def test_random_gap_ratios_are_near_one_and_do_not_depend_on_the_distribution():
    uniform = random_gap_ratios(64, 64, 200, 0)
    normal = np.linalg.svd(np.random.default_rng(1).normal(size=(200, 64, 64)), compute_uv=False)
    gaussian = normal[:, 0] / normal[:, 1]
    assert uniform.min() >= 1
    error = np.hypot(uniform.std(), gaussian.std()) / np.sqrt(200)
    assert abs(uniform.mean() - gaussian.mean()) < 4 * error
    assert not np.array_equal(uniform, random_gap_ratios(64, 64, 200, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_matrices({"head.weight": torch.zeros(2, 2)}), "none of the 1 names"),
        (lambda: attention_matrices({"l.0.self_attn.in_proj_weight": torch.zeros(4, 2)}), r"\(4, 2\)"),
        (lambda: weight_singular_values({"W": torch.zeros(4, 2)}, 3), r"W has shape \(4, 2\); 3 singular values"),
        (lambda: weight_singular_values({"W": torch.full((2, 2), float("inf"))}, 1), "W has NaN or infinite"),
        (lambda: random_gap_ratios(1, 4, 10, 0), "sides of at least 2"),
    ],
)
def test_unusable_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_two_stacks_of_layers_are_refused():
    tensors = torch.nn.Transformer(8, 2, 1, 1, 16).state_dict()
    with pytest.raises(ValueError, match=r"decoder\.layers\.0\.self_attn\S* is a second layer 0"):
        attention_matrices(tensors)
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
    assert torch.equal(attention_matrices(own)["layer0.W_O"], own["encoder.layers.0.self_attn.out_proj.weight"])
    with pytest.raises(ValueError, match="there are no matrices"):
        weight_singular_values({}, 1)
