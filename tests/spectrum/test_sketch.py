import numpy as np
import pytest
import torch

from spectral_edge.parameters import Block, Shard
from spectral_edge.spectrum import CountSketch, noise_floor, spectral_edge


def whole(name, *shape):
    return Shard(name, shape, shape, (0,) * len(shape))


def pieces(shards, vector):
    column = 0
    for number, shard in enumerate(shards):
        yield Block(number, 0, slice(column, column + shard.dim), vector[column : column + shard.dim])
        column += shard.dim


def sketched(shards, vectors, size):
    sketch = CountSketch(size, shards)
    return torch.stack([sketch(pieces(shards, v)) for v in vectors])


def test_the_sketch_is_the_sum_of_signed_entries_per_bucket():
    """The matrix of the map, read off from unit vectors, has one entry of ±1 a column, and applies to any vector."""
    shards = [whole("a", 5, 6), whole("b", 10)]
    matrix = sketched(shards, torch.eye(40), 16).T
    assert set(matrix.abs().sum(0).tolist()) == {1.0}
    assert set(matrix.unique().tolist()) == {-1.0, 0.0, 1.0}
    x = torch.randn(40, dtype=torch.float64)
    torch.testing.assert_close(sketched(shards, x[None], 16)[0], matrix @ x)


def test_buckets_and_signs_are_spread_evenly_and_differ_between_names():
    n, m = 20_000, 64
    matrices = {}
    for name in ("blocks.0.attn.weight", "blocks.1.attn.weight"):
        ones = sketched([whole(name, n)], torch.ones(1, n), m)[0]
        matrices[name] = ones
        # A sum of about n/m signs a bucket: variance n/m.
        assert float(ones.square().mean()) == pytest.approx(n / m, rel=5 * (2 / m) ** 0.5)
    a, b = matrices.values()
    assert abs(float(a @ b)) < 5 * n / m**0.5


@pytest.mark.parametrize("structure", ["dense", "one column", "one row"])
def test_inner_products_are_right_on_average_with_the_stated_variance(structure):
    """Over names, which are independent hashes: mean <x, y>, variance (|x|² |y|² + <x, y>²) / m, less the diagonal."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 40, 50, generator=generator, dtype=torch.float64)
    if structure == "one column":
        x[:, 1:], y[:, 1:] = 0, 0
    if structure == "one row":
        x[1:], y[1:] = 0, 0
    x, y, m, names = x.flatten(), y.flatten(), 128, 400
    found = []
    for i in range(names):
        a, b = sketched([whole(f"p{i}", 40, 50)], torch.stack([x, y]), m)
        found.append(float(a @ b))
    exact = float(x @ y)
    variance = float((x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x * y).square().sum()) / m
    assert np.mean(found) == pytest.approx(exact, abs=4 * (variance / names) ** 0.5)
    assert np.var(found) == pytest.approx(variance, rel=5 * (2 / names) ** 0.5)


def test_sketches_of_shards_add_up_to_that_of_the_whole():
    x = torch.randn(6, 8, dtype=torch.float64)
    (total,) = sketched([whole("w", 6, 8)], x.reshape(1, -1), 32)
    by_rows = [Shard("w", (6, 8), (3, 8), (r, 0)) for r in (0, 3)]
    by_columns = [Shard("w", (6, 8), (6, 4), (0, c)) for c in (0, 4)]
    empty = Shard("w", (6, 8), (0, 8), (6, 0))
    for parts in (by_rows, by_columns, [*by_rows, empty]):
        summed = torch.zeros(32, dtype=torch.float64)
        for shard in parts:
            block = x[shard.offset[0] :, shard.offset[1] :][: shard.shape[0], : shard.shape[1]]
            summed += sketched([shard], block.reshape(1, -1), 32)[0]
        torch.testing.assert_close(summed, total)


def test_gap_ratios_have_a_relative_error_of_one_over_root_m_even_below_the_noise_floor():
    """Planted orthogonal updates: σ falls by 10 from one to the next, far below the floor of a single inner product."""
    sigma = torch.tensor([1.0, 1e-1, 1e-2, 1e-3], dtype=torch.float64)
    m, errors = 1024, []
    for i in range(60):
        generator = torch.Generator().manual_seed(i)
        left = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
        right = torch.linalg.qr(torch.randn(3000, 4, generator=generator, dtype=torch.float64))[0]
        rows = sketched([whole(f"p{i}", 3000)], (left * sigma) @ right.T, m)
        edge = spectral_edge(rows, center=False)
        errors.append(edge.gap_ratios / 10 - 1)
        assert edge.singular_values[2] < noise_floor(edge, m)
    for error in np.array(errors).T:
        assert np.std(error) == pytest.approx(m**-0.5, rel=0.35)


def test_the_noise_floor_is_that_of_the_longest_update():
    edge = spectral_edge(torch.diag(torch.tensor([3.0, 2.0])), center=False)
    assert noise_floor(edge, 81) == pytest.approx((9 / 9) ** 0.5)


@pytest.mark.parametrize("size", [0, 1, 3, 1000])
def test_sizes_that_are_no_power_of_two_are_refused(size):
    with pytest.raises(ValueError, match=f"size = {size} is not a power of two"):
        CountSketch(size, [])
