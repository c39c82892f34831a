"""Functions of two tokens with a group in them, made from closed forms; the tokens are renamed at random."""

import numpy as np


def characters_of(orders, frequencies):
    """Characters exp(2πi Σ w_j x_j / m_j) of Z_m1 x Z_m2 x …, one for each tuple of frequencies: (m, n)."""
    grid = np.stack([x.ravel() for x in np.indices(orders)])
    return np.stack(
        [np.exp(2j * np.pi * sum(w * x / m for w, x, m in zip(f, grid, orders, strict=True))) for f in frequencies]
    )


def abelian(orders, frequencies, *, kind="sum", noise=0.0, k=4, seed=0):
    """(k, n²) functions Σ_w c cos(w·(a ± b) + φ), c and φ at random, and the (n, n) classes; tokens renamed."""
    rng = np.random.default_rng(seed)
    z = characters_of(orders, frequencies)
    n = z.shape[1]
    name = rng.permutation(n)
    z = z[:, name]
    second = z if kind == "sum" else z.conj()
    weights = rng.uniform(0.5, 1.5, (k, len(z))) * np.exp(2j * np.pi * rng.random((k, len(z))))
    f = np.einsum("km,ma,mb->kab", weights, z, second).real
    f = f / f.std(axis=(1, 2), keepdims=True) + noise * rng.standard_normal(f.shape)
    grid = np.stack([x.ravel() for x in np.indices(orders)])[:, name]
    modulus = np.array(orders)[:, None, None]
    values = (grid[:, :, None] + (1 if kind == "sum" else -1) * grid[:, None, :]) % modulus
    return f.reshape(k, -1), np.ravel_multi_index(tuple(values), orders)


def dihedral(n, frequencies, *, noise=0.0, k=2, components=6, seed=0):
    """(k, N, c) functions φ(ab) on the 2n elements k + n f = r^k s^f of a dihedral group, and the (2n, 2n) products.

    φ is a random combination of the entries of the two-dimensional representations with the given frequencies.
    """
    rng = np.random.default_rng(seed)
    turn, flip = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    entries = [
        wave(2 * np.pi * w * turn / n) * (flip == side)
        for w in frequencies
        for wave in (np.cos, np.sin)
        for side in (0, 1)
    ]
    product = (turn[:, None] + np.where(flip, -1, 1)[:, None] * turn) % n + n * (flip[:, None] ^ flip)
    name = rng.permutation(2 * n)
    product = product[np.ix_(name, name)]
    phi = rng.standard_normal((k, components, len(entries))) @ np.stack(entries)
    f = phi[..., product] + noise * rng.standard_normal((k, components, 2 * n, 2 * n))
    return np.moveaxis(f.reshape(k, components, -1), 1, 2), product
