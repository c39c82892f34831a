"""Overlaps by hand, the combinatorial null in closed form, and mixtures of directions whose answer is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from spectral_edge.replication.autoencoder.overlap import (
    FeatureOverlap,
    correlation,
    gram,
    most_affected,
    overlaps,
    random_sets,
)
from spectral_edge.representation import SparseAutoencoder

KINDS = ("random_directions", "angle_matched", "fixed_angle", "angle")


@pytest.fixture(scope="module")
def autoencoder():
    return SparseAutoencoder(d_in=16, d_sae=64, k=8, seed=1).requires_grad_(False)


def planted(n, seed):
    return torch.randn(n, 40, 16, generator=torch.Generator().manual_seed(seed))


def seen(autoencoder, edge, epsilon=0.3):
    return FeatureOverlap(autoencoder, planted(1, 9)[0], epsilon, correlation(gram(edge)))


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


def test_effects_are_of_both_signs_and_of_moved_activations(autoencoder):
    responses = planted(2, 0)
    x = planted(1, 9)[0]
    before = autoencoder.encode(x)
    moved = [(autoencoder.encode(x + sign * 0.3 * responses) - before).abs().mean(1) for sign in (1, -1)]
    found = seen(autoencoder, planted(3, 0)).effects(responses)
    np.testing.assert_allclose(found, (moved[0] + moved[1]) / 2, rtol=1e-5)


def statistics_of(autoencoder, edge, responses):
    found = seen(autoencoder, edge)
    values = {name: statistic(responses) for name, statistic in found.statistics().items()}
    return {kind: [values[found.name(kind, i)] for i in range(3)] for kind in KINDS}


def test_a_triple_matched_to_its_own_angles_is_itself(autoencoder):
    edge = planted(3, 3)
    found = statistics_of(autoencoder, edge, edge)
    assert found["angle_matched"] == found["random_directions"]
    assert min(found["random_directions"]) < 1


def test_a_triple_at_right_angles_in_the_weights_is_mixed_to_45_degrees(autoencoder):
    """By hand: w1 = v1, w2 = (v1 + v2)/√2, w3 as the third row of the Cholesky factor of the cosines."""
    v = planted(3, 4)
    c = 0.5**0.5
    third = (c - c * c) / c
    mixed = torch.stack([v[0], c * v[0] + c * v[1], c * v[0] + third * v[1] + (1 - c**2 - third**2) ** 0.5 * v[2]])
    found, expected = (statistics_of(autoencoder, v, triple) for triple in (v, mixed))
    assert found["fixed_angle"] == expected["random_directions"]


def test_responses_that_nearly_coincide_move_the_same_features(autoencoder):
    close = planted(1, 5) + 1e-3 * planted(3, 6)
    found = statistics_of(autoencoder, close, planted(3, 7))
    assert np.mean(found["angle_matched"]) > 0.9 > np.mean(found["random_directions"])
    assert found["angle"] == pytest.approx([90, 90, 90], abs=10)
