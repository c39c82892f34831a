import numpy as np
import pytest
import torch
from torch import nn

import spectral_edge as se
from spectral_edge.representation import response_shape


def test_purity_of_a_planted_head_is_one():
    model = se.ModularTransformer(p=7, d_model=16, n_heads=4, d_mlp=8)
    params = se.attention_weights(model)
    direction = {name: torch.zeros_like(w) for name, w in params.parameters.items()}
    in_name, out_name = params.names[2:]  # second layer
    direction[in_name].view(3, 4, 4, 16)[1, 2] = 1.0  # W_K rows of head 2
    direction[out_name][:, 8:12] = 2.0  # W_O columns of head 2
    assert se.head_purity(params.flatten(direction), params) == 1.0
    direction[params.names[0]].view(3, 4, 4, 16)[0, 0] = 1.0  # W_Q rows of head 0, first layer: 64 of 64 + 64 + 256
    assert se.head_purity(params.flatten(direction), params) == pytest.approx(320 / 384)


def test_purity_of_an_even_direction_is_one_over_the_number_of_heads():
    params = se.attention_weights(se.ModularTransformer(p=7, d_model=16, n_heads=4, d_mlp=8))
    assert se.head_purity(torch.ones(params.dim), params) == pytest.approx(1 / 8)
    stack = se.head_purity(torch.ones(3, params.dim), params)
    assert stack.shape == (3,)


def test_purity_errors():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="not known"):
        se.head_purity(torch.ones(6), se.select_parameters(layer, ""))
    params = se.attention_weights(se.ModularTransformer(p=7, d_model=16, n_heads=4, d_mlp=8))
    with pytest.raises(ValueError, match="zero"):
        se.head_purity(torch.zeros(params.dim), params)


def test_effective_rank_of_known_spectra():
    q = torch.linalg.qr(torch.randn(50, 4)).Q
    assert se.effective_rank(q) == pytest.approx(4, rel=1e-5)
    assert se.effective_rank(q[:, :1] @ torch.ones(1, 6)) == pytest.approx(1, rel=1e-5)
    s = torch.tensor([2.0, 1.0, 1.0, 0.0])
    shares = np.array([4, 1, 1]) / 6
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert se.effective_rank(q * s) == pytest.approx(expected, rel=1e-4)
    assert se.effective_rank(torch.stack([q, q * s])).tolist() == pytest.approx([4, expected], rel=1e-4)
    for nothing in (torch.zeros(3, 3), torch.full((3, 3), torch.nan), torch.full((3, 3), torch.inf)):
        with pytest.raises(ValueError, match="zero or not finite"):
            se.effective_rank(nothing)


def test_principal_scores_equal_the_svd():
    response = torch.randn(2, 40, 6) * torch.tensor([3.0, 1, 1, 1, 1, 1])
    scores = se.principal_scores(response, n_components=3)
    assert scores.shape == (2, 3, 40)
    for k in range(2):
        u, s, _ = np.linalg.svd(
            response[k].double().numpy() - response[k].double().numpy().mean(0), full_matrices=False
        )
        np.testing.assert_allclose(np.abs(scores[k].numpy()), np.abs((u[:, :3] * s[:3]).T), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_the_shape_is_that_of_the_single_functions(shape):
    generator = torch.Generator().manual_seed(0)
    response = torch.randn(3, *shape, generator=generator) * torch.linspace(3, 1, shape[1]) + 5
    rank, scores = response_shape(response, 2)
    for k, r in enumerate(response.double().numpy()):
        share = np.linalg.svd(r, compute_uv=False) ** 2 / (r**2).sum()
        assert rank[k] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-12)
        _, _, v = np.linalg.svd(r - r.mean(0), full_matrices=False)
        signed = v[:2] * np.sign(v[np.arange(2), np.abs(v[:2]).argmax(1)])[:, None]
        np.testing.assert_allclose(scores[k], signed @ (r - r.mean(0)).T, rtol=1e-9, atol=1e-10)
    assert response_shape(response, 0)[1].shape == (3, 0, shape[0])


def test_scores_of_numbers_that_are_not_finite_or_of_too_many_components_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        se.principal_scores(torch.full((1, 5, 4), torch.nan), 1)
    for n in (-1, 5):
        with pytest.raises(ValueError, match=f"n_components = {n}"):
            response_shape(torch.randn(1, 6, 4), n)
