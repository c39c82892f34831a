"""Overlaps by hand, the combinatorial null in closed form, and mixtures of directions whose answer is known."""

import numpy as np
import pytest
import torch
from scipy import stats

import spectral_edge as se
from spectral_edge.replication.autoencoder.overlap import (
    Perturbation,
    correlation,
    most_affected,
    overlaps,
    random_sets,
)
from spectral_edge.representation import SparseAutoencoder


@pytest.fixture(scope="module")
def moved():
    torch.manual_seed(0)
    model = se.ModularTransformer(p=13, d_model=16, n_heads=2, d_mlp=16)
    parameters = se.attention_weights(model)
    return Perturbation(model, parameters, se.ModularTask("add", 13).pairs, 0.005), model, parameters


@pytest.fixture(scope="module")
def autoencoder():
    return SparseAutoencoder(d_in=16, d_sae=64, k=8, seed=1).requires_grad_(False)


def test_the_twenty_most_affected():
    effects = np.arange(30.0)[None].repeat(2, axis=0)
    effects[1] = 0.0  # all equal: the first twenty
    masks = most_affected(effects)
    assert np.flatnonzero(masks[0]).tolist() == list(range(10, 30))
    assert np.flatnonzero(masks[1]).tolist() == list(range(20))


def test_jaccard_of_known_sets():
    masks = np.zeros((3, 60), dtype=bool)
    masks[0, :20] = masks[1, 10:30] = masks[2, 15:35] = True
    assert overlaps(masks).tolist() == pytest.approx([10 / 30, 5 / 35, 15 / 25])


def test_random_sets_have_the_hypergeometric_mean():
    draws = random_sets(512, 2000, seed=0)
    shared = np.arange(21)
    jaccard = shared / (40 - shared)
    law = stats.hypergeom(512, 20, 20)
    mean, second = law.expect(lambda x: x / (40 - x)), (law.pmf(shared) * jaccard**2).sum()
    error = np.sqrt((second - mean**2) / len(draws))
    assert mean == pytest.approx(0.02, abs=0.001)  # as published
    assert np.abs(draws.mean(0) - mean).max() < 4 * error


def test_changes_are_those_of_moved_weights(moved):
    perturbation, model, parameters = moved
    directions = se.random_directions(4, parameters.dim, seed=2)
    found = list(perturbation.changes(directions))
    assert len(found) == 1  # the fourth direction makes no triple
    pairs = torch.from_numpy(se.ModularTask("add", 13).pairs)
    theta = parameters.flatten()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    step = 0.005 * float(theta.norm()) * directions[1]
    model.load_state_dict(state | parameters.unflatten(theta + step))
    with torch.no_grad():
        after = model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]
    model.load_state_dict(state)
    torch.testing.assert_close(found[0][1], after - perturbation.activations, rtol=1e-3, atol=1e-6)


def test_random_directions_matched_to_their_own_responses_are_themselves(moved, autoencoder):
    perturbation, _, parameters = moved
    directions = se.random_directions(3, parameters.dim, seed=3)
    nulls = perturbation.nulls(autoencoder, directions, next(perturbation.changes(directions)))
    np.testing.assert_allclose(nulls.angle_matched, nulls.random)
    assert nulls.random.min() < 1


def test_directions_at_45_degrees_are_left_as_they_are(moved, autoencoder):
    perturbation, _, parameters = moved
    basis = torch.linalg.qr(se.random_directions(3, parameters.dim, seed=4).T).Q.T
    cosines = torch.full((3, 3), 0.5**0.5).fill_diagonal_(1.0)
    at_45 = torch.linalg.cholesky(cosines) @ basis
    np.testing.assert_allclose(correlation((at_45 @ at_45.T).numpy()), cosines.numpy(), atol=1e-5)
    nulls = perturbation.nulls(autoencoder, at_45, torch.eye(3).unsqueeze(-1))
    np.testing.assert_allclose(nulls.fixed_angle, nulls.random)
    apart = perturbation.nulls(autoencoder, basis, torch.eye(3).unsqueeze(-1))
    np.testing.assert_allclose(apart.fixed_angle, nulls.random)  # the same mixtures


def test_responses_that_nearly_coincide_move_the_same_features(moved, autoencoder):
    perturbation, _, parameters = moved
    directions = se.random_directions(6, parameters.dim, seed=5)
    one = torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    close = one + 1e-3 * torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    nulls = perturbation.nulls(autoencoder, directions, close.unsqueeze(-1))
    assert nulls.random.shape == nulls.angle_matched.shape == (2, 3)
    assert nulls.angle_matched.mean() > 0.9 > nulls.random.mean()
