"""What the page says of functions in which discovery finds a law that is not there, counted again."""

from pathlib import Path

import numpy as np

import spectral_edge as se

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "discovery.md").read_text().split())


def law_of(table, spectrum, seed, k=8):
    """Discover from k random functions Σ c_i φ_i(table[a, b]) with a little noise, tokens renamed."""
    rng = np.random.default_rng(seed)
    n = len(table)
    renamed = rng.permutation(n)
    f = (rng.standard_normal((k, len(spectrum))) @ spectrum)[:, table[np.ix_(renamed, renamed)]]
    f = f + 0.05 * rng.standard_normal((k, n, n))
    return se.discover_basis(f.reshape(k, -1), n_tokens=n, seed=seed).law


def test_tokens_that_count_as_one_are_given_a_law_of_their_own():
    tokens = np.arange(30)
    angle = 4 * np.pi * np.arange(15) / 15
    spectrum = np.stack([np.cos(angle), np.sin(angle)])
    laws = [law_of((tokens[:, None] - tokens) % 15, spectrum, seed) for seed in range(3)]
    assert {(law.group.name, round(law.pvalue, 2)) for law in laws} == {("Z_30", 0.01)}
    shares = [f"{law.share:.2f}" for law in sorted(laws, key=lambda law: law.share)]
    assert f"with p = 0.01 and a share of {shares[0]} to {shares[-1]}, in 3 of 3 tries" in PAGE


def test_a_dihedral_group_with_many_representations_is_read_as_a_cyclic_one():
    """Elements (s, r) of the group of 18; three two-dimensional representations, twelve dimensions of eighteen."""
    elements = [(s, r) for s in range(2) for r in range(9)]
    place = {element: i for i, element in enumerate(elements)}
    table = np.array([[place[(s + t) % 2, ((-r if t else r) + q) % 9] for t, q in elements] for s, r in elements])
    spectrum = np.array(
        [
            [(s == which) * wave(2 * np.pi * h * r / 9) for s, r in elements]
            for h in (1, 2, 4)
            for which in range(2)
            for wave in (np.cos, np.sin)
        ]
    )
    laws = [law_of(table, spectrum, seed) for seed in range(6)]
    wrong = [law for law in laws if law is not None and law.group.name == "Z_18"]
    assert len(wrong) == 4
    shares = [f"{share:.2f}" for share in sorted(law.share for law in wrong)]
    assert f"p = 0.01 in 4 of 6 tries; the share was {shares[0]} to {shares[-1]}" in PAGE
