from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spectral_edge.discovery import agreement, discover_basis
from support.planted_groups import abelian, characters_of, dihedral


def recovered(found, classes):
    return found.law is not None and agreement(found.law.classes.ravel(), classes.ravel()) == 1.0


@pytest.mark.parametrize("kind", ["sum", "difference"])
@pytest.mark.parametrize(
    ("orders", "frequencies", "name"),
    [
        ((31,), [(3,), (7,), (11,)], "Z_31"),
        ((30,), [(1,), (7,), (11,)], "Z_30"),
        ((5, 7), [(1, 0), (0, 2), (2, 1), (1, 3)], "Z_35"),
        ((6, 6), [(1, 0), (0, 1), (1, 2), (1, 5)], "Z_6 x Z_6"),
    ],
)
def test_planted_abelian_groups_are_recovered_whatever_the_tokens_are_called(kind, orders, frequencies, name):
    modes, classes = abelian(orders, frequencies, kind=kind, noise=0.3)
    found = discover_basis(modes, classes.shape[0])
    assert found.law.group.name == name
    assert recovered(found, classes)
    assert found.pvalue <= 0.05
    assert found.answer == "none of these"


def test_characters_are_the_planted_ones_strongest_first():
    frequencies = [(4,), (9,), (14,)]
    rng = np.random.default_rng(0)
    z = characters_of((37,), frequencies)[:, rng.permutation(37)]
    f = np.einsum("m,ma,mb->ab", [4.0, 3.5, 3.0], z, z).real + 0.1 * rng.standard_normal((37, 37))
    found = discover_basis(f.reshape(1, -1), 37)
    overlap = np.maximum(np.abs(found.characters @ z.conj().T), np.abs(found.characters @ z.T)) / 37
    assert overlap.shape == (3, 3)
    assert np.diag(overlap) == pytest.approx(1, abs=0.01)
    # Shares of the kernel go as squared amplitudes.
    assert found.circles.share == pytest.approx(np.array([16, 12.25, 9]) / 37.25, abs=0.02)
    assert found.multiplicity.tolist() == [2, 2, 2]
    # Frequencies are told up to an automorphism: the strongest is called 1, the others keep their ratios.
    ratio = [9 * pow(4, -1, 37) % 37, 14 * pow(4, -1, 37) % 37]
    assert found.frequencies.tolist() == [1, *(min(r, 37 - r) for r in ratio)]


def test_the_cyclic_order_is_the_planted_one_up_to_an_automorphism():
    rng = np.random.default_rng(3)
    number = rng.permutation(23)  # token t is the number number[t]
    f = np.cos(2 * np.pi * 5 * (number[:, None] + number[None, :]) / 23) + 0.1 * rng.standard_normal((23, 23))
    order = discover_basis(f.reshape(1, -1), 23).cyclic_order
    steps = np.diff(number[order]) % 23
    assert sorted(order.tolist()) == list(range(23))
    assert (steps == steps[0]).all()
    assert 5 * steps[0] % 23 in (1, 22)  # along it the character turns once


def test_degenerate_frequencies_are_told_apart():
    """Equal amplitudes give one eigenvalue of multiplicity six: no eigenvector is a character, yet all are found."""
    z = characters_of((41,), [(2,), (9,), (17,)])
    f = np.einsum("ma,mb->ab", z, z).real
    found = discover_basis(f.reshape(1, -1), 41)
    overlap = np.maximum(np.abs(found.characters @ z.conj().T), np.abs(found.characters @ z.T)) / 41
    # Projections converge linearly: after forty of them a character of a space of six is there to a few per cent.
    assert overlap.max(axis=0) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_group_that_is_not_abelian_is_recovered(seed):
    modes, classes = dihedral(15, (1, 4), noise=0.2, seed=seed)
    found = discover_basis(modes, 30)
    assert not found.law.group.abelian
    # The identity, 15 flips, and rotations: two of order 3, four of order 5, eight of order 15.
    assert sorted(found.law.group.orders.tolist()) == [1] + [2] * 15 + [3] * 2 + [5] * 4 + [15] * 8
    assert recovered(found, classes)
    assert found.cyclic_order is None
    assert found.frequencies is None


def test_known_groupings_are_named_where_tokens_keep_their_numbers():
    p, rng = 29, np.random.default_rng(0)
    a, b = np.indices((p, p))
    f = (
        np.cos(2 * np.pi * 3 * (a + b) / p)
        + np.cos(2 * np.pi * 8 * (a + b) / p + 1)
        + 0.2 * rng.standard_normal((p, p))
    )
    found = discover_basis(f.reshape(1, -1), p)
    assert found.answer == "sum"
    assert found.candidates[0].share > 0.9
    assert found.candidates[0].pvalue_adjusted == pytest.approx(1 / 101)
    other = next(c for c in found.candidates if c.grouping == "discrete_log")
    assert other.pvalue_adjusted > 0.05


def test_products_are_read_in_the_discrete_log_and_not_in_sums():
    p = 29
    log = np.zeros(p, dtype=int)
    log[[pow(2, e, p) for e in range(p - 1)]] = np.arange(p - 1)
    tokens = np.arange(1, p)
    angle = 2 * np.pi * (log[tokens][:, None] + log[tokens][None, :]) / (p - 1)
    found = discover_basis((np.cos(3 * angle) + np.cos(11 * angle + 1)).reshape(1, -1), p - 1, residues=tokens)
    assert found.answer == "discrete_log"
    assert found.law.group.name == "Z_28"
    assert found.candidates[0].grouping == "discrete_log"


def test_noise_has_no_structure():
    answers = [
        discover_basis(np.random.default_rng(seed).standard_normal((3, 17 * 17)), 17, null_draws=40).answer
        for seed in range(20)
    ]
    assert answers.count("no structure") >= 17  # at level 0.05 three or more of 20 come with probability 0.08


def test_half_of_the_pairs_are_enough():
    modes, classes = abelian((31,), [(3,), (7,), (11,)], noise=0.2)
    n = 31
    chosen = np.sort(np.random.default_rng(0).permutation(n * n)[: n * n // 2])
    pairs = np.stack(np.indices((n, n)), axis=-1).reshape(-1, 2)[chosen]
    assert recovered(discover_basis(modes[:, chosen], n, pairs=pairs), classes)


def test_renaming_the_tokens_renames_the_answer():
    """An exact symmetry: the procedure may not know which token is which."""
    modes, _ = abelian((23,), [(2,), (5,)], noise=0.3)
    new = np.random.default_rng(9).permutation(23)
    renamed = modes.reshape(-1, 23, 23)[:, new][:, :, new].reshape(len(modes), -1)
    one, other = discover_basis(modes, 23), discover_basis(renamed, 23)
    assert other.circles.dispersion == pytest.approx(one.circles.dispersion, abs=1e-3)
    assert agreement(one.law.classes[np.ix_(new, new)].ravel(), other.law.classes.ravel()) == 1.0


def test_responses_energies_tensors_and_arrays_are_taken():
    modes, classes = abelian((19,), [(2,), (5,)], noise=0.1, k=6)
    response = torch.from_numpy(modes.reshape(2, 3, -1).transpose(0, 2, 1).copy())
    for given in (
        modes,
        torch.from_numpy(modes),
        SimpleNamespace(energy=modes),
        SimpleNamespace(energy=None, response=response),
        response,
    ):
        assert recovered(discover_basis(given, 19), classes)


def test_a_single_function_without_noise_is_enough():
    modes, classes = abelian((19,), [(4,)], k=1)
    found = discover_basis(modes[0], 19)
    assert recovered(found, classes)
    assert found.multiplicity.tolist() == [2]


def test_residues_must_be_distinct_numbers():
    modes, _ = abelian((19,), [(4,)], k=1)
    with pytest.raises(ValueError, match="19 distinct numbers"):
        discover_basis(modes, 19, residues=np.zeros(19, dtype=int))


def test_equal_seeds_give_equal_results():
    modes, _ = abelian((19,), [(4,), (7,)], noise=0.5)
    one, other = (discover_basis(modes, 19, seed=3) for _ in range(2))
    assert np.array_equal(one.characters, other.characters)
    assert one.pvalue == other.pvalue
    assert one.candidates == other.candidates


def test_the_strongest_character_turns_once_along_the_cycle_under_noise():
    """Noise in phases wider than a step of the cycle may not mislead it."""
    modes, classes = abelian((61,), [(4,), (9,), (23,)], noise=1.5, k=6, seed=2)
    found = discover_basis(modes, 61)
    assert recovered(found, classes)
    assert found.frequencies[0] == 1


@pytest.mark.parametrize("n", [13, 31, 61])
def test_tokens_at_random_angles_have_circles_and_no_group(n):
    """cos(θ_a + θ_b) with random θ lies on a circle; its order is a cycle's, but its spacing is no group's."""
    laws = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        angle = 2 * np.pi * rng.random(n)
        f = np.cos(angle[:, None] + angle[None, :]) + 0.1 * rng.standard_normal((n, n))
        laws += discover_basis(f.reshape(1, -1), n, null_draws=40, seed=seed).law is not None
    assert laws <= 2  # at level 0.05, three or more of 8 come with probability 0.006


def test_too_few_null_draws_are_refused():
    modes, _ = abelian((19,), [(4,)], k=1)
    with pytest.raises(ValueError, match="null_draws = 10"):
        discover_basis(modes, 19, null_draws=10)


def test_sums_are_known_for_an_even_number_of_tokens():
    a, b = np.indices((30, 30))
    f = np.cos(2 * np.pi * 7 * (a + b) / 30) + np.cos(2 * np.pi * 3 * (a + b) / 30 + 1)
    assert discover_basis(f.reshape(1, -1), 30).answer == "sum"


def test_a_tensor_that_requires_grad_is_taken():
    modes, classes = abelian((19,), [(4,)], k=1)
    tensor = torch.from_numpy(modes).requires_grad_()
    assert recovered(discover_basis(tensor, 19), classes)
