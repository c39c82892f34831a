"""The TopK autoencoder: its arithmetic by hand, its training on planted features, its determinism."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from spectral_edge.representation import (
    AutoencoderTraining,
    SparseAutoencoder,
    dead_share,
    explained_variance,
    feature_effects,
    mean_l0,
    train_sparse_autoencoder,
)

SHORT = AutoencoderTraining(d_sae=24, k=3, steps=300, batch_size=128, seed=5)
LONG = dataclasses.replace(SHORT, steps=1_000)  # explains .97 to .98 of the planted sums with any of five seeds


@pytest.fixture(scope="module")
def planted():
    """1500 sums of three of twelve unit vectors in 16 dimensions, far from the origin, on a small scale."""
    generator = torch.Generator().manual_seed(0)
    atoms = F.normalize(torch.randn(12, 16, generator=generator), dim=1)
    chosen = torch.rand(1500, 12, generator=generator).argsort(1)[:, :3]
    amounts = torch.zeros(1500, 12).scatter(1, chosen, 1 + torch.rand(1500, 3, generator=generator))
    return atoms, 0.01 * amounts @ atoms + 3.0


@pytest.fixture(scope="module")
def trained(planted):
    return train_sparse_autoencoder(planted[1], SHORT)


def hand_made():
    """Two inputs, three features: x1, x2 and -x1, one active."""
    autoencoder = SparseAutoencoder(d_in=2, d_sae=3, k=1).requires_grad_(False)
    autoencoder.W_enc.copy_(torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]))
    autoencoder.W_dec.copy_(autoencoder.W_enc.T)
    autoencoder.b_dec.copy_(torch.tensor([1.0, 0.0]))
    autoencoder.b_enc.copy_(torch.tensor([0.0, -0.5, 0.0]))
    return autoencoder


def test_arithmetic_by_hand():
    autoencoder = hand_made()
    x = torch.tensor([[3.0, 1.0], [1.0, 2.0], [-1.0, 0.0]])  # minus b_dec: (2, 1), (0, 2), (-2, 0)
    assert autoencoder.encode(x).tolist() == [[2.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]]
    assert autoencoder(x).tolist() == [[3.0, 0.0], [1.0, 1.5], [-1.0, 0.0]]


def test_negative_preactivations_are_never_active():
    autoencoder = SparseAutoencoder(d_in=2, d_sae=3, k=3).requires_grad_(False)
    autoencoder.b_enc.fill_(-10.0)
    z = autoencoder.encode(torch.ones(4, 2))
    assert z.abs().max() == 0
    assert (mean_l0(z), dead_share(z)) == (0.0, 1.0)


@pytest.mark.parametrize("ties", [False, True])
def test_as_many_are_active_as_topk_keeps_and_they_carry_the_gradient(ties):
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    if ties:
        x[::2] = x[::2].round()
    autoencoder = SparseAutoencoder(d_in=6, d_sae=6, k=3)
    with torch.no_grad():
        autoencoder.W_enc.copy_(torch.eye(6))
    z = autoencoder.encode(x.requires_grad_())
    largest = x.topk(3, dim=-1)
    expected = torch.zeros_like(x).scatter(-1, largest.indices, largest.values.relu())
    assert torch.equal(z, expected)
    gradients = [torch.autograd.grad(f.square().sum(), x)[0] for f in (z, expected)]
    assert torch.equal(*gradients)


def test_it_encodes_bfloat16_and_inside_vmap():
    torch.manual_seed(0)
    autoencoder = SparseAutoencoder(6, 24, 3)
    x = torch.randn(5, 6)
    expected = autoencoder.encode(x)
    torch.testing.assert_close(torch.vmap(autoencoder.encode)(x), expected)
    coarse = autoencoder.bfloat16().encode(x.bfloat16())
    torch.testing.assert_close(coarse.float(), expected, rtol=0.05, atol=0.05)


def test_a_new_one_has_unit_rows_and_a_tied_encoder():
    autoencoder = SparseAutoencoder(d_in=8, d_sae=32, k=4, seed=1)
    assert torch.allclose(autoencoder.W_dec.norm(dim=1), torch.ones(32))
    assert torch.equal(autoencoder.W_enc, autoencoder.W_dec.T)
    shapes = {name: tuple(value.shape) for name, value in autoencoder.state_dict().items()}
    assert shapes == {"W_enc": (8, 32), "b_enc": (32,), "W_dec": (32, 8), "b_dec": (8,)}


def test_training_finds_planted_features(planted):
    atoms, inputs = planted
    trained = train_sparse_autoencoder(inputs, LONG)
    assert explained_variance(inputs, trained(inputs)) > 0.95
    assert dead_share(trained.encode(inputs)) < 0.2
    assert mean_l0(trained.encode(inputs)) <= 3
    assert torch.allclose(trained.W_dec.norm(dim=1), torch.ones(24), atol=1e-5)
    best = (atoms @ trained.W_dec.T).amax(1)  # cosine of each atom with its nearest feature
    assert (best > 0.9).float().mean() > 0.7


def test_training_is_deterministic_and_leaves_the_global_random_state_alone(planted, trained):
    state = torch.get_rng_state()
    again = train_sparse_autoencoder(planted[1], SHORT)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in trained.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    other = train_sparse_autoencoder(planted[1], dataclasses.replace(SHORT, seed=6, steps=1))
    assert not torch.equal(other.W_dec, again.W_dec)


def test_scale_of_the_inputs_is_multiplied_back(planted):
    brief = dataclasses.replace(SHORT, steps=20)
    x = planted[1].double()
    centred = x - x.mean(0)
    a = train_sparse_autoencoder(centred.float(), brief)
    b = train_sparse_autoencoder((64 * centred + 7).float(), brief)
    assert torch.allclose(b.encode((64 * centred + 7).float()), 64 * a.encode(centred.float()), rtol=1e-3, atol=1e-3)


def test_explained_variance_of_the_mean_is_zero():
    x = torch.tensor([[0.0], [2.0]])
    assert explained_variance(x, x) == 1
    assert explained_variance(x, torch.ones(2, 1)) == 0
    assert explained_variance(x, -x) == pytest.approx(-7)  # 1 - 16/2


def test_effects_by_hand():
    autoencoder = hand_made()
    x = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    changes = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[-2.0, 0.5], [0.0, -1.0]]])
    # The second moves x to (1, 1.5) and (1, 1): features from (2, 0, 0), (0, 1.5, 0) to (0, 1, 0), (0, 0.5, 0).
    assert feature_effects(autoencoder, x, changes).tolist() == [[0.5, 0.0, 0.0], [1.0, 1.0, 0.0]]


def test_errors():
    with pytest.raises(ValueError, match="k"):
        SparseAutoencoder(d_in=2, d_sae=3, k=4)
    with pytest.raises(ValueError, match="equal"):
        train_sparse_autoencoder(torch.ones(5, 2), SHORT)
    with pytest.raises(ValueError, match="finite"):
        train_sparse_autoencoder(torch.full((5, 2), torch.nan), SHORT)
    with pytest.raises(ValueError, match="steps"):
        train_sparse_autoencoder(torch.eye(3), dataclasses.replace(SHORT, steps=0))
    with pytest.raises(ValueError, match="variance is 0"):
        explained_variance(torch.ones(3, 2), torch.ones(3, 2))


def test_equal_inputs_of_any_value_are_refused():
    equal = torch.full((7, 3), 0.1, dtype=torch.float64)
    with pytest.raises(ValueError, match="all inputs are equal"):
        explained_variance(equal, torch.ones(7, 3))
    with pytest.raises(ValueError, match="all inputs are equal"):
        train_sparse_autoencoder(equal, AutoencoderTraining(d_sae=4, k=2, steps=3))
    with pytest.raises(ValueError, match="of their shape"):
        explained_variance(torch.randn(7, 3), torch.ones(1, 3))
    with pytest.raises(ValueError, match="must be finite"):
        explained_variance(torch.full((7, 3), torch.nan), torch.ones(7, 3))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_does_not_hang_on_the_caller_s_mode(mode):
    inputs, training = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), AutoencoderTraining(4, 2, 3)
    expected = train_sparse_autoencoder(inputs, training)
    with mode():
        found = train_sparse_autoencoder(inputs, training)
    assert torch.equal(found.W_dec, expected.W_dec)
