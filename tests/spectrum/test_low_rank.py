"""Updates of products, never multiplied out: the twin multiplies them out."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.spectrum import Factors, LowRankUpdates, edge_from_gram

SHAPES = ((5, 7, 2, False), (4, 3, 2, True))


def snapshots(n=5, seed=0, step=0.1):
    """n moments of two layers, which drift."""
    generator = torch.Generator().manual_seed(seed)
    first = [
        (torch.randn(m, r, generator=generator).double(), torch.randn(r, k, generator=generator).double())
        for m, k, r, _ in SHAPES
    ]
    found = []
    for _ in range(n):
        found.append(
            tuple(
                Factors(left.clone(), right.clone(), 2.0, flipped)
                for (left, right), (*_, flipped) in zip(first, SHAPES, strict=True)
            )
        )
        for left, right in first:
            left += step * torch.randn(left.shape, generator=generator)
            right += step * torch.randn(right.shape, generator=generator)
    return tuple(found)


def multiplied_out(moments):
    products = []
    for moment in moments:
        layers = [f.scale * (f.left.double() @ f.right.double()) for f in moment]
        layers = [layer.T if f.transposed else layer for layer, f in zip(layers, moment, strict=True)]
        products.append(torch.cat([layer.flatten() for layer in layers]))
    return torch.stack(products)


def test_gram_matrix_directions_and_displacement_are_those_of_the_products():
    moments = snapshots()
    updates, products = LowRankUpdates(moments), multiplied_out(moments)
    dense = products[1:] - products[:-1]
    assert updates.dim == dense.shape[1] == 5 * 7 + 4 * 3
    torch.testing.assert_close(updates.gram_matrix(), dense @ dense.T, rtol=1e-12, atol=1e-12)
    for columns in (slice(0, 47), slice(3, 40), slice(36, 37)):
        torch.testing.assert_close(updates.read(columns)[0], dense[:, columns], rtol=1e-12, atol=1e-12)
    for center in (False, True):
        edge, expected = edge_from_gram(updates.gram_matrix(), lambda: updates, center), se.spectral_edge(dense, center)
        assert edge.singular_values == pytest.approx(expected.singular_values, rel=1e-9, abs=1e-12)
        torch.testing.assert_close(edge.directions(2).double(), expected.directions(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(updates.displacement().double(), products[-1] - products[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(updates.between(1, 3).gram_matrix(), (dense @ dense.T)[1:3, 1:3], rtol=1e-12, atol=1e-12)


def test_nothing_changes_when_the_factors_are_mixed():
    """A → R A, B → B R⁻¹, with another R at every moment."""
    generator = torch.Generator().manual_seed(3)
    mixed = []
    moments = snapshots()
    for moment in moments:
        layers = []
        for f in moment:
            r = torch.randn(2, 2, generator=generator).double()
            layers.append(Factors(f.left @ torch.linalg.inv(r), r @ f.right, f.scale, f.transposed))
        mixed.append(tuple(layers))
    own, other = LowRankUpdates(moments), LowRankUpdates(tuple(mixed))
    torch.testing.assert_close(other.gram_matrix(), own.gram_matrix(), rtol=1e-8, atol=1e-9)
    columns = slice(0, own.dim)
    torch.testing.assert_close(other.read(columns)[0], own.read(columns)[0], rtol=1e-8, atol=1e-9)


def test_small_updates_of_large_products_are_resolved():
    """Updates of 1e-9 of the product: multiplied out and subtracted, half of their digits would be gone."""
    generator = torch.Generator().manual_seed(1)
    left, right = torch.randn(30, 3, generator=generator).double(), torch.randn(3, 40, generator=generator).double()
    moved = [torch.randn(30, 3, generator=generator).double() * 1e-9 for _ in range(3)]
    moments = [left]
    for step in moved:
        moments.append(moments[-1] + step)
    updates = LowRankUpdates(tuple((Factors(m, right),) for m in moments))
    exact = torch.stack([((b - a) @ right).flatten() for a, b in pairwise(moments)])
    np.testing.assert_allclose(updates.gram_matrix(), exact @ exact.T, rtol=1e-12)


def test_ranks_may_differ_and_rates_divide():
    moments = snapshots(3)
    wider = tuple(
        Factors(torch.cat([f.left, 0.1 * f.left[:, :1]], 1), torch.cat([f.right, f.right[:1]]), f.scale, f.transposed)
        for f in moments[2]
    )
    moments = (*moments[:2], wider)
    products = multiplied_out(moments)
    dense = products[1:] - products[:-1]
    updates = LowRankUpdates(moments, (2.0, 5.0))
    rates = dense / torch.tensor([[2.0], [5.0]])
    torch.testing.assert_close(updates.gram_matrix(), rates @ rates.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(updates.displacement().double(), products[-1] - products[0], atol=1e-5, rtol=0)
