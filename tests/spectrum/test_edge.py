import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spectral_edge as se
from oracles.spectrum import edge_position, svd
from spectral_edge.spectrum import gram_matrix


def random_updates(w, d, seed, decay=0.7):
    rng = np.random.default_rng(seed)
    scale = decay ** np.arange(w)
    return torch.from_numpy((rng.normal(size=(w, w)) * scale) @ rng.normal(size=(w, d))).float()


@settings(max_examples=40, deadline=None)
@given(w=st.integers(2, 24), d=st.integers(30, 400), seed=st.integers(0, 10_000), center=st.booleans())
def test_agrees_with_a_full_svd(w, d, seed, center):
    updates = random_updates(w, d, seed)
    edge = se.spectral_edge(updates, center=center)
    sigma, v = svd(updates, center)
    known = w - 1 if center else w
    np.testing.assert_allclose(edge.singular_values[:known], sigma[:known], rtol=1e-5, atol=1e-7 * sigma[0])
    assert (np.diff(edge.singular_values) <= 0).all()
    assert edge.position == edge_position(sigma[:known])
    for j in range(1, known):
        assert edge.eigengap(j) == pytest.approx(sigma[j - 1] ** 2 - sigma[j] ** 2, abs=1e-9 * sigma[0] ** 2)
    # a direction is compared where its singular value is well separated; sign is free in the twin
    k = min(3, known)
    directions = edge.directions(k).double().numpy()
    for j in range(k):
        gap = min(abs(sigma[j] - sigma[i]) for i in range(len(sigma)) if i != j) / sigma[0]
        if gap > 1e-2 and sigma[j] > 1e-3 * sigma[0]:
            assert abs(directions[j] @ v[j]) == pytest.approx(1, abs=1e-4)


def test_directions_are_orthonormal_and_pass_on_the_sign_of_u():
    updates = random_updates(20, 3000, 0)
    edge = se.spectral_edge(updates, center=True)
    directions = edge.directions(6).double()
    torch.testing.assert_close(directions @ directions.T, torch.eye(6, dtype=torch.float64), atol=1e-5, rtol=0)
    centered = updates.double() - updates.double().mean(0)
    projections = centered @ directions.T
    for j in range(6):
        assert projections[projections[:, j].abs().argmax(), j] > 0


def test_planted_edge_is_found():
    generator = torch.Generator().manual_seed(0)
    planted = torch.linalg.qr(torch.randn(5000, 2, generator=generator)).Q.T
    signs = torch.randn(20, 2, generator=generator)
    updates = 10 * signs @ planted + 0.01 * torch.randn(20, 5000, generator=generator)
    edge = se.spectral_edge(updates, center=False)
    assert edge.position == 2
    overlap = torch.linalg.svdvals(edge.directions(2) @ planted.T)
    assert overlap.min() > 0.999
    assert edge.gap_ratios.argmax() == 1


def test_exact_rank_two_has_its_edge_at_two():
    updates = torch.zeros(6, 50)
    updates[:, 0], updates[:, 1] = torch.arange(1.0, 7), torch.tensor([1.0, -1, 1, -1, 1, -1])
    assert se.spectral_edge(updates, center=False).position == 2
    assert se.spectral_edge(updates, center=False).gap_ratios[1] == np.inf


def test_float32_gram_would_be_wrong_where_ours_is_right():
    rng = np.random.default_rng(1)
    common = rng.normal(size=200_000)
    exact = np.stack([common + 1e-4 * rng.normal(size=common.size) for _ in range(10)]).astype(np.float32)
    sigma, _ = svd(exact, center=False)
    ours = se.spectral_edge(torch.from_numpy(exact), center=False).singular_values
    single = np.linalg.eigvalsh((torch.from_numpy(exact) @ torch.from_numpy(exact).T).numpy())[::-1]
    assert np.abs(ours[1:] / sigma[1:] - 1).max() < 1e-3
    assert np.abs(single[1:] / sigma[1:] ** 2 - 1).max() > 0.5


def test_gram_matrix_of_two_sets():
    left, right = torch.randn(3, 70_000), torch.randn(2, 70_000)
    torch.testing.assert_close(gram_matrix(left, right), left.double() @ right.double().T)


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (torch.zeros(5, 10), r"updates \[0, 1, 2, 3, 4\] are exactly zero"),
        (torch.cat([torch.ones(1, 4), torch.zeros(1, 4)]), r"updates \[1\] are exactly zero"),
        (torch.tensor([[1.0, 2.0], [float("nan"), 1.0]]), "update 1 has NaN"),
        (torch.tensor([[float("inf"), 2.0], [1.0, 1.0]]), "update 0 has NaN or infinite"),
        (torch.ones(4, 8), "all updates are equal"),
        (torch.ones(8), r"\(W, D\) with W >= 2"),
        (torch.ones(1, 8), r"\(W, D\) with W >= 2"),
        (torch.ones(3, 8, dtype=torch.int64), "floating point"),
    ],
)
def test_unusable_updates_are_refused(updates, message):
    with pytest.raises(ValueError, match=message):
        se.spectral_edge(updates)


def test_a_direction_below_the_cutoff_is_refused():
    edge = se.spectral_edge(random_updates(5, 100, 3), center=True)
    with pytest.raises(ValueError, match=r"only the first 4 directions are identifiable \(centring removes one\)"):
        edge.directions(5)
    for k in (0, 6):
        with pytest.raises(ValueError, match=r"outside 1..5"):
            edge.directions(k)
    with pytest.raises(ValueError, match=r"outside 1..4"):
        edge.eigengap(5)


def test_fewer_entries_than_updates_are_no_lower_rank():
    """Twenty updates of five numbers have rank five because there are five: k* is where σ falls most."""
    rng = np.random.default_rng(0)
    updates = torch.from_numpy(rng.standard_normal((20, 5)) * [6.0, 1.2, 1.1, 1.0, 0.9])
    edge = se.spectral_edge(updates, center=False)
    sigma = np.linalg.svd(updates.numpy(), compute_uv=False)
    assert edge.position == int(np.argmax(sigma[:-1] ** 2 / sigma[1:])) + 1 == 1
    window = se.UpdateWindow(20, 5)
    for row in updates.float():
        window.push(row)
    assert window.edge(center=False).position == 1
    assert se.spectral_edge(updates[:, :1] * torch.ones(1, 5), center=False).position == 1
    lower = updates.clone()
    lower[:, 3:] = 0
    assert se.spectral_edge(lower, center=False).position == 3, "a rank that neither W nor D explains"


def test_a_vanishing_last_value_is_no_edge_beside_a_larger_gap():
    """Scores by hand: 1e4²/1, 1, 1, and for the fifth, which is not seen, 1/1e-3 with the resolution 1e-7 · 1e4."""
    edge = se.spectral_edge(torch.diag(torch.tensor([1e4, 1.0, 1.0, 1.0, 5e-4], dtype=torch.float64)), center=False)
    assert edge.singular_values[-1] == 0
    assert edge.resolution == pytest.approx(1e-3, rel=1e-6)
    assert edge.position == 1


@pytest.mark.parametrize("scale", [1e-90, 1e-60, 1.0, 1e120])
def test_position_and_rank_do_not_depend_on_the_scale(scale):
    updates = random_updates(4, 30, seed=0).double() * scale
    edge = se.spectral_edge(updates)
    assert (edge.rank, edge.position) == (3, se.spectral_edge(updates / scale).position)


def test_the_sign_of_equal_entries_does_not_follow_rounding():
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        updates, order = torch.randn(2, 64, generator=generator), torch.randperm(64, generator=generator)
        one, other = (se.spectral_edge(x).directions(1) for x in (updates, updates[:, order]))
        assert float((one[:, order] * other).sum()) > 0.99


def test_a_combination_of_nothing_is_zero_and_other_shapes_are_named():
    edge = se.spectral_edge(torch.randn(5, 20, generator=torch.Generator().manual_seed(0)))
    found = edge.combinations(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert found[0].abs().max() == 0
    assert float(found[1].norm()) == pytest.approx(5, rel=1e-5)
    for wrong in (np.ones(2), np.ones((2, 0))):
        with pytest.raises(ValueError, match="need"):
            edge.combinations(wrong)


def test_edges_can_be_asked_for_in_a_list():
    edge, other = (se.spectral_edge(torch.eye(3) * scale, center=False) for scale in (1, 2))
    assert edge in [other, edge]
    assert edge != other
    assert len({edge, other}) == 2
