import numpy as np
import pytest

from spectral_edge.discovery.interactions import interactions_of


def least_squares_interaction(f, known):
    """What is left of f on the known pairs after the best fit g(a) + h(b): a dense least-squares twin."""
    n = len(f)
    a, b = np.nonzero(known)
    design = np.zeros((len(a), 2 * n))
    design[np.arange(len(a)), a] = 1
    design[np.arange(len(a)), n + b] = 1
    rest = np.zeros_like(f)
    rest[a, b] = f[a, b] - design @ np.linalg.lstsq(design, f[a, b], rcond=None)[0]
    return rest


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_main_effects_are_the_least_squares_ones(share):
    rng = np.random.default_rng(0)
    n = 11
    f = rng.standard_normal((2, n, n)) + 5 * rng.standard_normal((2, n, 1)) + 3 * rng.standard_normal((2, 1, n))
    known = rng.random((n, n)) < share
    a, b = np.nonzero(known)
    found = interactions_of(f[:, a, b], n, np.stack([a, b], axis=1))
    for mode, values in zip(f, found.values[:, 0], strict=True):
        expected = least_squares_interaction(mode, known)
        assert values == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3 if share < 1 else 1e-12)


def test_share_is_that_of_the_variance_that_is_no_main_effect():
    n = 9
    a, b = np.indices((n, n))
    pure = np.cos(2 * np.pi * (a + b) / n)  # variance 1/2, no main effects
    f = pure + 2 * np.cos(2 * np.pi * a / n)  # main effect of variance 2
    assert interactions_of(f.reshape(1, -1), n, None).share == pytest.approx([0.5 / 2.5])


def test_share_of_groups_is_the_between_group_variance():
    rng = np.random.default_rng(1)
    n = 8
    found = interactions_of(rng.standard_normal((3, n * n)), n, None)
    groups = rng.integers(-1, 5, (n, n))
    between = total = 0.0
    for f in found.values[:, 0]:
        for g in range(5):
            between += (groups == g).sum() * f[groups == g].mean() ** 2
        total += (f[groups >= 0] ** 2).sum()
    assert found.share_of(groups) == pytest.approx(between / total)


def test_kernels_are_the_products_of_their_functions():
    rng = np.random.default_rng(2)
    found = interactions_of(rng.standard_normal((2, 49, 3)), 7, None)
    for k in range(2):
        left = sum(f @ f.T for f in found.values[k])
        right = sum(f.T @ f for f in found.values[k])
        assert found.kernels[k] == pytest.approx(left)
        assert found.kernels[2 + k] == pytest.approx(right)
    assert np.trace(found.kernel) == pytest.approx(1)


def test_components_beyond_the_principal_ones_are_dropped_and_power_is_kept():
    rng = np.random.default_rng(3)
    strong = rng.standard_normal((1, 49, 4))
    padded = (
        np.concatenate([strong, 1e-9 * rng.standard_normal((1, 49, 60))], axis=2)
        @ np.linalg.qr(rng.standard_normal((64, 64)))[0]
    )
    one, other = interactions_of(strong, 7, None), interactions_of(padded, 7, None)
    assert other.kernel == pytest.approx(one.kernel, abs=1e-7)


def test_shuffling_keeps_the_values_and_destroys_the_kernel():
    a, b = np.indices((13, 13))
    found = interactions_of(np.cos(2 * np.pi * (a + b) / 13).reshape(1, -1), 13, None)
    shuffled = found.shuffled(np.random.default_rng(0))
    assert np.linalg.eigvalsh(found.kernel)[-2:].sum() == pytest.approx(1)
    assert np.linalg.eigvalsh(shuffled.kernel)[-2:].sum() < 0.6


GOOD = np.cos(2 * np.pi * np.add.outer(np.arange(7), np.arange(7)) / 7).reshape(1, -1)
PAIRS = np.stack(np.indices((7, 7)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(
    ("modes", "n", "pairs", "message"),
    [
        (GOOD, 6, None, "not n_tokens² = 36"),
        (GOOD, 4, None, "fewer than 5 tokens"),
        (np.ones((2, 49)), 7, None, "no interaction"),
        (np.add.outer(np.arange(7.0), np.arange(7.0) ** 2).reshape(1, -1), 7, None, "no interaction"),
        (np.where(np.arange(49) == 3, np.nan, GOOD), 7, None, "mode 0 is not finite"),
        (GOOD, 7, PAIRS[:, :1], "pairs must be integers"),
        (GOOD, 7, PAIRS + 1, "need 0 … 6"),
        (GOOD, 7, np.zeros((49, 2), dtype=int), "a pair comes twice"),
        (GOOD[:, PAIRS[:, 0] != 2], 7, PAIRS[PAIRS[:, 0] != 2], "token 2 is in fewer than two pairs"),
        (np.empty((0, 49)), 7, None, "there are no modes"),
        (np.ones((1, 2, 3, 4)), 7, None, "need \\(k, N\\)"),
    ],
)
def test_what_has_nothing_to_read_is_refused_with_the_reason(modes, n, pairs, message):
    with pytest.raises(ValueError, match=message):
        interactions_of(modes, n, pairs)


def test_a_constant_mode_among_others_is_left_out():
    found = interactions_of(np.concatenate([np.ones((1, 49)), GOOD]), 7, None)
    assert len(found.values) == 1


def test_share_has_a_number_for_every_mode():
    a, b = np.indices((11, 11))
    noise = 0.1 * np.random.default_rng(0).standard_normal((11, 11))
    modes = np.stack([a + np.cos(b), np.cos(2 * np.pi * (a + b) / 11) + noise]).reshape(2, -1)
    found = interactions_of(modes, 11, None)
    assert found.values.shape[0] == 1
    assert found.share.shape == (2,)
    assert found.share[0] == 0
    assert found.share[1] > 0.95


@pytest.mark.parametrize("offset", [0, 1e5, -3e5])
def test_an_offset_hides_no_interaction(offset):
    a, b = np.indices((13, 13))
    mode = np.cos(2 * np.pi * (a + b) / 13) + 0.5 * np.cos(6 * np.pi * (a + b) / 13)
    found = interactions_of(mode.reshape(1, -1) + offset, 13, None)
    np.testing.assert_allclose(found.values[0, 0], mode / np.linalg.norm(mode), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_of_functions_is_no_interaction_at_any_offset(dtype):
    a, b = np.indices((13, 13))
    with pytest.raises(ValueError, match="no interaction"):
        interactions_of((a**2 + np.sin(b) + 1e4).astype(dtype).reshape(1, -1), 13, None)
