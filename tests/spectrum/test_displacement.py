import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.displacement import displacement_sigma, window_sigma
from spectral_edge.spectrum import displacement_gram, displacement_pca, rolling_singular_values, update_gram


def trajectory(n, d, seed, drift=0.3):
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n, d)) + drift * rng.normal(size=d)
    return [torch.from_numpy(theta).float() for theta in 5 * rng.normal(size=d) + np.cumsum(steps, axis=0)]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(3, 15), d=st.integers(20, 200), seed=st.integers(0, 10_000), center=st.booleans())
def test_every_expanding_window_agrees_with_its_own_svd(n, d, seed, center):
    snapshots = trajectory(n, d, seed)
    pca = displacement_pca(displacement_gram(snapshots), center=center)
    assert pca.singular_values.shape == (n - 1, n - 1)
    for t in range(1, n):
        expected = displacement_sigma(snapshots, t, center)[:t]
        np.testing.assert_allclose(
            pca.singular_values[t - 1, :t], expected, rtol=1e-6, atol=3e-7 * expected.max() + 1e-6
        )
        assert (pca.singular_values[t - 1, t:] == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(9, 22),
    stride=st.integers(1, 3),
    window=st.integers(2, 4),
    d=st.integers(20, 200),
    seed=st.integers(0, 99),
)
def test_every_window_of_updates_of_every_stride_agrees_with_its_own_svd(n, stride, window, d, seed):
    snapshots = trajectory(n, d, seed)
    gram = update_gram(displacement_gram(snapshots), stride)
    if len(gram) < window:
        return
    sigma = rolling_singular_values(gram, window)
    assert len(sigma) == (n - 1) // stride - window + 1
    for i, row in enumerate(sigma):
        np.testing.assert_allclose(row, window_sigma(snapshots, (window + i) * stride, stride, window), rtol=1e-6)


def test_small_updates_far_from_the_start_keep_their_spectrum():
    """Updates a hundred thousandth of the displacement: float32 scalar products would lose them altogether.

    Rounding is up to eps ‖displacement‖² = 2.2e-16 x 3e7 an entry of G, here 2e-6 of sigma²; W = 4 of them, second
    differences of four entries each, and a spectrum with close eigenvalues leave 1e-4 (float32: 1e3).
    """
    rng = np.random.default_rng(0)
    start, far = torch.zeros(3000), torch.from_numpy(rng.normal(size=3000) * 100).float()
    snapshots = [start, far, *(far.double() + 1e-3 * torch.from_numpy(rng.normal(size=(6, 3000))).cumsum(0))]
    sigma = rolling_singular_values(update_gram(displacement_gram(snapshots)), 4)[-1]
    np.testing.assert_allclose(sigma, window_sigma(snapshots, 7, 1, 4), rtol=1e-4)


def test_a_straight_line_has_one_principal_component():
    line = [torch.full((10,), float(t)) for t in range(6)]
    pca = displacement_pca(displacement_gram(line))
    np.testing.assert_allclose(pca.explained_variance[:, 0], 1, rtol=1e-12)
    assert np.isinf(pca.gap_ratio).all()
    assert np.isnan(displacement_pca(displacement_gram(line), center=True).explained_variance[0]).all()


def test_explained_variance_of_a_random_walk_is_large_by_itself():
    """In high dimension G_st tends to min(s, t); centred, PC1 has 6/pi² of the variance (1807.11480)."""
    t = np.arange(1.0, 151)
    pca = displacement_pca(np.minimum.outer(t, t), center=True)
    assert pca.explained_variance[-1, 0] == pytest.approx(6 / np.pi**2, abs=5e-3)


def test_gap_ratio_is_of_the_first_two():
    pca = displacement_pca(np.diag([9.0, 4.0, 1.0]))
    assert pca.gap_ratio.tolist() == [np.inf, 1.5, 1.5]
    assert pca.explained_variance[2].tolist() == pytest.approx([9 / 14, 4 / 14, 1 / 14])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: displacement_gram([torch.zeros(3)]), "1 snapshots"),
        (lambda: displacement_gram([torch.zeros(3), torch.zeros(4)]), "one length"),
        (lambda: displacement_gram([torch.zeros(2, 2), torch.zeros(2, 2)]), "one length"),
        (lambda: displacement_gram([torch.zeros(2), torch.tensor([1.0, float("nan")])]), "snapshot 1 has NaN"),
        (lambda: displacement_pca(np.zeros((2, 3))), r"square, got shape \(2, 3\)"),
        (lambda: displacement_pca(np.full((2, 2), np.nan)), "NaN"),
        (lambda: update_gram(np.eye(4), 5), r"stride = 5 is outside 1..4"),
        (lambda: rolling_singular_values(np.eye(4), 5), r"window = 5 is outside 2..4"),
    ],
)
def test_unusable_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("seen", [2, 3, 6])
def test_a_gram_matrix_grows_with_its_run(seen):
    snapshots = [torch.randn(70_000, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    expected = np.stack([(s.double() - snapshots[0].double()).numpy() for s in snapshots[1:]])
    grown = displacement_gram(snapshots, displacement_gram(snapshots[:seen]))
    np.testing.assert_allclose(grown, expected @ expected.T, rtol=1e-12)
