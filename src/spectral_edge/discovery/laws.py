"""The law behind a set of interactions: from circles, or from the classes of pairs that look alike, to a group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from spectral_edge.discovery.circles import Circles
from spectral_edge.discovery.groups import GroupLaw, Tokens, agreement, group_law
from spectral_edge.discovery.interactions import Floats, Interactions, principal

__all__ = ["LEVEL", "Law", "find_law"]

# What counts as significant.
LEVEL = 0.05

# A dispersion Var |z|^2 of 4 s^2 comes from noise of s in phase and modulus; none is known better than this.
_LEAST_VARIANCE = 0.003
_CLOSURE_PAIRS = 300
_CLOSURE_NULLS = 9
_SWEEPS = 25
_SNAPS = 15
_STARTS = 3
# Votes may turn any table into some group. Of our models, tables that were one kept 0.49 of their entries and more, one
# that was none kept 0.19. docs/discovery.md says what was set after seeing numbers.
_LEAST_KEPT = 1 / 3
# Votes on a group double their accord each time; those on none stay near 1/n.
_PATIENCE, _LEAST_ACCORD = 3, 0.25
# The first directions have the largest share of functions of a∘b; later ones mostly add functions of other kinds.
_DIRECTIONS = 2
_COMPONENTS = 48


@dataclass(frozen=True, eq=False)
class Law:
    """A group on the tokens, and how a and b enter the modes through it.

    Attributes:
        group: the group.
        kind: "sum" if the modes depend on a s b, "difference" on a b^-1, "left_difference" on a^-1 b.
        classes: (n, n) that group element for every pair.
        share: share of the interactions that is a function of it.
        pvalue: of an abelian group, how often tokens at random angles make circles as regular as those found; of
            another, how often the group with its tokens renamed accounts for as much of the directions that it was
            not fitted to. NaN if there are none of these.
    """

    group: GroupLaw
    kind: str
    classes: Tokens
    share: float
    pvalue: float


def find_law(
    interactions: Interactions, circles: Circles, space: Floats, null_draws: int, rng: np.random.Generator
) -> Law | None:
    """Find the group whose classes of pairs account for the largest share of the interactions, or None.

    Starts from the product of circles, which is abelian; sweeps move pairs between classes to where the modes look
    alike, keeping the table a Latin square; a vote then looks for the group that the table nearly is. Where circles
    lead to no group, or there are none, sweeps start from rotations of the space that turn one row of the modes into
    another.
    """
    found: list[Law] = []
    rows = _denoised(interactions, space)
    if len(circles.dispersion):
        start = _table_of_circles(circles, rng)
        _collect(found, _snapped(start), interactions)
        _collect(found, _snapped(_swept(start, rows)), interactions)
    if not found and space.shape[1] > 1:
        tables = [_swept(table, rows) for table in _rotation_tables(interactions, space)]
        _collect(found, _snapped(max(tables, key=lambda table: _explained(table, rows))), interactions)
    best = max(found, key=lambda law: law.share, default=None)
    if best is None:
        return None
    pvalue = (
        _irregularity(best.group, circles, null_draws, rng)
        if best.group.abelian
        else _renamed_share(best, interactions, null_draws, rng)
    )
    return replace(best, pvalue=pvalue) if not pvalue > LEVEL else None


def _irregularity(group: GroupLaw, circles: Circles, null_draws: int, rng: np.random.Generator) -> float:
    """p of the mean fit |<z, χ>|² of the circles' phases by characters χ of the group.

    The null draws angles at random, and takes for its law the cycle of its first circle, which so fits far better than
    chance; the others have to fit that same law. Circles of no character at all are left out on both sides.
    """
    z = circles.characters / np.abs(circles.characters)
    fits = _fits(z, group)
    used = fits > 0.5
    if not used.any():
        return 1.0
    measured, m = fits[used].mean(), int(used.sum())
    null = []
    for _ in range(null_draws):
        drawn = np.exp(2j * np.pi * rng.random((m, z.shape[1])))
        law = group_law(_cyclic_table(drawn[0]))
        assert law is not None  # a table of ranks is a cyclic group
        null.append(_fits(drawn, law).mean())
    return (sum(fit >= measured for fit in null) + 1) / (null_draws + 1)


def _fits(z: np.ndarray, group: GroupLaw) -> Floats:
    """(m,) (Σ_χ |<z, χ>/n|⁴)^½ over the characters χ of an abelian group: 1 for one of them.

    Taken from the autocorrelation r(d) = mean_a z(a d) conj z(a) = Σ_χ |<z, χ>/n|² χ(d), by Parseval.
    """
    n = z.shape[1]
    moved = z[:, group.table]  # (m, a, d)
    correlation = np.einsum("mad,ma->md", moved, z.conj()) / n
    return np.asarray(np.sqrt((np.abs(correlation) ** 2).mean(axis=1)))


def _renamed_share(law: Law, interactions: Interactions, null_draws: int, rng: np.random.Generator) -> float:
    """p of the law's share of the directions it was not fitted to, against its tokens renamed."""
    others = interactions.values[_DIRECTIONS:]
    if len(others) == 0:
        return float("nan")
    held_out = Interactions(others, interactions.known, interactions.share)
    measured = held_out.share_of(law.classes)
    null = []
    for _ in range(null_draws):
        name = rng.permutation(interactions.n_tokens)
        null.append(held_out.share_of(law.classes[np.ix_(name, name)]))
    return (sum(share >= measured for share in null) + 1) / (null_draws + 1)


def _collect(found: list[Law], group: GroupLaw | None, interactions: Interactions) -> None:
    if group is None:
        return
    shifts: list[int | None] = [None] if group.abelian else list(range(len(group.table)))
    options = [(kind, None) for kind in ("difference", "left_difference")] + [("sum", shift) for shift in shifts]
    best = max(options, key=lambda option: interactions.share_of(group.classes(*option)))
    classes = group.classes(*best)
    found.append(Law(group, best[0], classes, interactions.share_of(classes), float("nan")))


def _table_of_circles(circles: Circles, rng: np.random.Generator) -> Tokens:
    """Multiply tokens as points on the largest set of circles that close under one product."""
    z = circles.characters / np.abs(circles.characters)
    z = z * z[:, :1].conj()  # token 0 is neutral
    weights = 1 / (circles.dispersion / 4 + _LEAST_VARIANCE)
    sets = [_consistent(z, weights, first, rng) for first in range(min(3, len(z)))]
    best = max(sets, key=lambda chosen: circles.share[chosen].sum())
    if len(best) == 1 and _is_polygon(z[best[0]]):
        return _cyclic_table(z[best[0]])
    points = (np.sqrt(weights[best])[:, None] * z[best]).T
    table = np.empty((len(points),) * 2, dtype=np.int64)
    for a in range(len(points)):
        table[a] = ((z[best][:, a] * points) @ points.conj().T).real.argmax(axis=1)
    return table


def _consistent(z: np.ndarray, weights: Floats, first: int, rng: np.random.Generator) -> list[int]:
    """Add circle after circle as long as products of tokens stay closer to tokens than with its tokens exchanged."""
    n = z.shape[1]
    pairs = rng.integers(0, n, (2, _CLOSURE_PAIRS))
    chosen = [first]
    for candidate in range(len(z)):
        if candidate == first:
            continue
        both = [*chosen, candidate]
        with_it = _closure_error(z[both], weights[both], pairs)
        exchanged = z[both].copy()
        chance = []
        for _ in range(_CLOSURE_NULLS):
            exchanged[-1] = z[candidate][rng.permutation(n)]
            exchanged[-1] *= exchanged[-1, 0].conj()
            chance.append(_closure_error(exchanged, weights[both], pairs))
        # Far below chance: a circle of another group is partly consistent wherever it shares tokens' order.
        if with_it < 0.5 * min(chance):
            chosen.append(candidate)
    return chosen


def _closure_error(z: np.ndarray, weights: Floats, pairs: Tokens) -> float:
    product = z[:, pairs[0]] * z[:, pairs[1]]
    nearness = ((weights[:, None] * product).T @ z.conj()).real.max(axis=1)
    return float(1 - nearness.mean() / weights.sum())


def _is_polygon(z: np.ndarray) -> bool:
    """Whether the points of a circle are all different and nowhere three gaps from n equally spaced ones."""
    angles = np.sort(np.angle(z))
    residual = angles - 2 * np.pi * np.arange(len(z)) / len(z)
    return bool(np.abs(residual - residual.mean()).max() < 2 * np.pi / len(z) * 3 and np.diff(angles).min() > 0)


def _cyclic_table(z: np.ndarray) -> Tokens:
    order = np.argsort(np.angle(z))
    rank = np.argsort(order)
    return np.asarray(order[(rank[:, None] + rank[None, :] - rank[0]) % len(z)])


def _denoised(interactions: Interactions, space: Floats) -> Floats:
    """(n, n, q) principal components of the first directions, projected on the space on both sides."""
    values = interactions.values[:_DIRECTIONS].reshape(-1, *interactions.values.shape[2:])
    inside = np.einsum("ar,crs,bs->cab", space, space.T @ values @ space, space, optimize=True)
    return np.asarray(np.moveaxis(principal(inside, _COMPONENTS), 0, -1))


def _rotation_tables(interactions: Interactions, space: Floats) -> list[Tokens]:
    """Tables b -> c(a, b) such that row a of the modes at b is row e of them at c, from rotations of the space."""
    n = interactions.n_tokens
    values = interactions.values[:_DIRECTIONS].reshape(-1, n, n)
    rows = np.einsum("cab,br->arc", space @ (space.T @ values), space, optimize=True)
    points = space / np.maximum(np.linalg.norm(space, axis=1, keepdims=True), 1e-12)
    tables = []
    for e in np.linspace(0, n - 1, _STARTS).astype(int):
        left, _, right = np.linalg.svd(np.einsum("rc,asc->ars", rows[e], rows, optimize=True))
        moved = np.einsum("ars,bs->abr", left @ right, points, optimize=True)
        tables.append((moved.reshape(n * n, -1) @ points.T).argmax(axis=1).reshape(n, n))
    return tables


def _means(table: Tokens, rows: Floats) -> Floats:
    n, q = len(table), rows.shape[-1]
    order = np.argsort(table.ravel(), kind="stable")
    counts = np.bincount(table.ravel(), minlength=n)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.zeros((n, q))
    sums[counts > 0] = np.add.reduceat(rows.reshape(-1, q)[order], starts[counts > 0], axis=0)
    return sums / np.maximum(counts, 1)[:, None]


def _explained(table: Tokens, rows: Floats) -> float:
    return float((_means(table, rows) ** 2).sum())


def _swept(table: Tokens, rows: Floats) -> Tokens:
    """Assign pairs to the class whose mean is nearest, rows and columns in turn, each class once in each."""
    for sweep in range(_SWEEPS):
        means = _means(table, rows)
        score = rows @ means.T - 0.5 * (means**2).sum(axis=1)
        axis = sweep % 2
        lines = [linear_sum_assignment(-score.take(line, axis=axis))[1] for line in range(len(table))]
        new = np.stack(lines, axis=axis)
        if (new == table).all():
            break
        table = new
    return table


def _snapped(table: Tokens) -> GroupLaw | None:
    """Find the group that a table nearly is, up to the names of its entries, by majority vote.

    In a group, going from row a to row a' multiplies every entry by a' a^-1: of the n² such exchanges of entries only
    n differ. They are matched to those of the first row, and vote on each other and then on the table.
    """
    n = len(table)
    tokens = np.arange(n)
    before = table
    if (np.sort(table, axis=1) != tokens).any():
        table = np.stack([_as_permutation(row) for row in table])
    else:
        exact = group_law(_with_neutral_token(table))
        if exact is not None:  # votes would change nothing
            return exact
    exchanges = np.eye(n, dtype=np.float32)[_exchanges(table)[0]]
    for attempt in range(_SNAPS):
        seen = _exchanges(table)
        overlap = np.zeros((n, n, n), dtype=np.float32)
        for entry in range(n):
            overlap += exchanges[:, entry].T[seen[:, :, entry]]
        which = np.stack([linear_sum_assignment(-o)[1] for o in overlap])
        votes = _counts(which[..., None], tokens[None, None], seen)
        if attempt >= _PATIENCE and votes.max(axis=-1).mean() < _LEAST_ACCORD * n:
            return None
        exchanges = votes / n
        decided = np.stack([linear_sum_assignment(-vote)[1] for vote in votes])
        moved = np.stack([decided[which[a]][:, table[a]] for a in range(n)])  # (a, a', b): row a' as row a has it
        cells = _counts(tokens[None, :, None], tokens[None, None], moved)
        new = np.stack([linear_sum_assignment(-cell)[1] for cell in cells])
        if (new == table).all():
            break
        table = new
    kept = agreement(before.ravel(), table.ravel())
    return group_law(_with_neutral_token(table)) if kept >= _LEAST_KEPT else None


def _counts(first: Tokens, second: Tokens, third: Tokens) -> NDArray[np.float32]:
    """(n, n, n) how often each triple occurs, for three (n, n, n) arrays of tokens that broadcast."""
    n = third.shape[-1]
    flat = (first * n + second) * n + third
    return np.bincount(flat.ravel(), minlength=n**3).reshape(n, n, n).astype(np.float32)


def _exchanges(table: Tokens) -> Tokens:
    """(a, a', entry): what row a' has where row a has ``entry``."""
    return np.asarray(table[:, np.argsort(table, axis=1)].transpose(1, 0, 2))


def _as_permutation(row: Tokens) -> Tokens:
    return np.asarray(linear_sum_assignment(-np.eye(len(row))[row])[1])


def _with_neutral_token(table: Tokens) -> Tokens:
    """Rename entries and rows so that token 0 is neutral on both sides: the principal isotope of a Latin square."""
    entries = np.argsort(table[0])  # the entry in column b of row 0 is called b
    named = entries[table]
    rows = np.argsort(named[:, 0])  # and row a is the one that starts with a
    return np.asarray(named[rows])
