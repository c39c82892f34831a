"""The signed 2-D character spectrum of a function of (a, b), split into its lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_edge.bases.coordinates import CoordinateSystem, coordinate_order, pair_coordinates
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["CharacterSpectrum", "character_spectrum", "to_grid"]

Floats = NDArray[np.float64]

# Amplitudes below this share of max|f| are rounding: about 64 float64 epsilons, far above what centring and
# the FFT leave of a constant and far below anything a float32 network can show.
_ROUNDING = 64 * np.finfo(np.float64).eps


def to_grid(values: ArrayLike, pairs: ArrayLike, p: int, coordinates: CoordinateSystem = "additive") -> Floats:
    """Lay values at input pairs out on the M x M grid of their coordinates.

    Source: paper section 1 (the 2-D spectrum in each coordinate).

    Args:
        values: (k, N) or (N,) finite numbers, one column per pair.
        pairs: (N, 2) distinct residues mod p.
        p: Odd modulus, at least 5; a prime unless additive, and p % 4 == 1 for "gaussian".
        coordinates: "additive" (a, b), M = p; "discrete_log" (dlog a, dlog b) or "gaussian"
            (dlog(a+ib), dlog(a-ib)), M = p-1.

    Returns:
        (k, M, M) float64, NaN in cells that no pair falls into. Pairs without coordinates (the logarithm
        of 0) are left out.

    Raises:
        ValueError: Shapes disagree, a value is not finite, a pair comes twice, or ``p`` does not allow the
            coordinates.

    >>> to_grid([7.0], [[1, 2]], 5)[0, 1]
    array([nan, nan,  7., nan, nan])
    """
    order = coordinate_order(p, coordinates)
    xy = pair_coordinates(pairs, p, coordinates)
    modes = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if modes.ndim != 2 or modes.shape[1] != len(xy):
        raise ValueError(f"values of shape {np.shape(values)} do not match {len(xy)} pairs: need (k, N) or (N,)")
    if not np.isfinite(modes).all():
        mode, column = np.argwhere(~np.isfinite(modes))[0]
        raise ValueError(f"values[{mode}, {column}] is {modes[mode, column]}; drop that pair or fix its source")
    defined = xy[:, 0] >= 0
    x, y = xy[defined].T
    if np.bincount(x * order + y, minlength=1).max() > 1:
        raise ValueError("pairs repeat: two of them share a grid cell; pass each pair once")
    grid = np.full((len(modes), order, order), np.nan)
    grid[:, x, y] = modes[:, defined]
    return grid


@dataclass(frozen=True, eq=False, repr=False)
class CharacterSpectrum(Tabular):
    """Power of each character (ω_a, ω_b) of Z_M x Z_M, as a share of the variance; k functions at once.

    Attributes:
        power: (k, M, M), indexed [mode, ω_a mod M, ω_b mod M]; sums to 1 for each mode, 0 at (0, 0), and
            power[ω] = power[-ω] since f is real. All NaN but (0, 0) for a constant f.
    """

    power: Floats

    @property
    def order(self) -> int:
        """M, the number of frequencies along each axis."""
        return self.power.shape[-1]

    @cached_property
    def shares(self) -> dict[str, Floats]:
        """Split each mode's variance exactly into five disjoint sets of characters.

        main_a (ω, 0), main_b (0, ω), sum (ω, ω), difference (ω, -ω), and other, the rest: five (k,) arrays
        that add up to 1. For even M the character (M/2, M/2) lies on both lines and is given to sum;
        :attr:`ambiguous` says how much that is. NaN for a constant f. Source: ours, paper section 5.
        """
        return {line: self.power[:, mask].sum(axis=1) for line, mask in _line_masks(self.order).items()}

    @property
    def ambiguous(self) -> Floats:
        """(k,) share of (M/2, M/2), which lies on both lines; 0 for odd M, where there is none."""
        half = self.order // 2
        return self.power[:, half, half] if self.order % 2 == 0 else np.zeros(len(self.power))

    @cached_property
    def top(self) -> list[tuple[int, int, float]]:
        """The strongest character (ω_a, ω_b, share) of each mode; see :meth:`strongest`."""
        return [characters[0] for characters in self.strongest(1)]

    def strongest(self, n: int) -> list[list[tuple[int, int, float]]]:
        """List the ``n`` strongest characters of each mode, strongest first.

        A real f cannot tell a character from its conjugate (-ω_a, -ω_b), so they count as one, by their
        joint share, and are written with ω_a in 0 … M//2 and ω_b in (-M/2, M/2].

        Args:
            n: How many, at least 1; there are no more than (M² - 1)/2 for odd M.

        Returns:
            One list of (ω_a, ω_b, share) for each mode; [(0, 0, nan)] for a constant f. Equal shares keep
            the order of (ω_a, ω_b mod M).

        Raises:
            ValueError: ``n`` is below 1.
        """
        if n < 1:
            raise ValueError(f"n = {n} characters asked for; need at least 1")
        weights = _conjugate_weights(self.order)
        rows, columns = np.nonzero(weights)
        signed = np.where(columns > self.order // 2, columns - self.order, columns)
        shares = self.power[:, rows, columns] * weights[rows, columns]
        listed = []
        for mode in shares:
            ranked = np.argsort(-mode, kind="stable")[:n]
            characters = [(int(rows[i]), int(signed[i]), float(mode[i])) for i in ranked]
            listed.append([(0, 0, float("nan"))] if np.isnan(mode).any() else characters)
        return listed

    def to_polars(self) -> polars.DataFrame:
        """Tabulate the spectrum: one row per mode with its shares and its strongest character."""
        import polars  # on call: importing the library should not wait for a table package

        omega_a, omega_b, share = zip(*self.top, strict=True)
        strongest = {"top_omega_a": omega_a, "top_omega_b": omega_b, "top_share": share}
        return polars.DataFrame(
            {"mode": np.arange(len(self.power)), **self.shares, "ambiguous": self.ambiguous, **strongest}
        )

    def __repr__(self) -> str:
        means = ", ".join(f"{line} {share.mean():.2f}" for line, share in self.shares.items())
        return f"CharacterSpectrum(k={len(self.power)}, M={self.order}; mean shares: {means})"


def character_spectrum(energy_grid: ArrayLike) -> CharacterSpectrum:
    """Take the signed 2-D spectrum P(ω_a, ω_b) = |Σ f(x, y) exp(-2πi(ω_a x + ω_b y)/M)|² / Σ_{ω≠0}.

    Keeping the sign of ω_b tells a function of x+y, on the line (ω, ω), from one of x-y, on (ω, -ω), which
    positive frequencies alone cannot. By Parseval, shares of power are shares of the variance of f over
    the grid. Source: ours; paper section 4, item 7.

    Args:
        energy_grid: (k, M, M) or (M, M) real and finite, the whole grid, as :func:`to_grid` gives it.

    Returns:
        The spectrum: ``.power``, ``.shares``, ``.top``. A constant f has no variance to share out: its
        shares are NaN. Costs k FFTs of size M² and as much complex memory.

    Raises:
        ValueError: The shape is not square, or a cell is NaN or infinite.

    >>> x, y = np.indices((7, 7))
    >>> spectrum = character_spectrum(np.cos(2 * np.pi * 2 * (x - y) / 7))
    >>> round(float(spectrum.shares["difference"][0]), 6), spectrum.top[0][:2]
    (1.0, (2, -2))
    """
    grid = _check_grid(energy_grid)
    centred = grid - grid.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(centred)) ** 2
    power[:, 0, 0] = 0.0
    total = power.sum(axis=(1, 2))
    # By Parseval total = M⁴ Var f, so this compares the standard deviation of f with its rounding.
    constant = total <= (_ROUNDING * grid.shape[-1] ** 2 * np.abs(grid).max(axis=(1, 2))) ** 2
    power /= np.where(constant, 1.0, total)[:, None, None]
    power[constant] = np.nan
    power[:, 0, 0] = 0.0
    return CharacterSpectrum(power)


def _check_grid(energy_grid: ArrayLike) -> Floats:
    grid = np.asarray(energy_grid, dtype=np.float64)
    grid = grid[None] if grid.ndim == 2 else grid
    if grid.ndim != 3 or grid.shape[1] != grid.shape[2] or grid.shape[1] < 3:
        raise ValueError(f"energy_grid must be (k, M, M) or (M, M) with M at least 3, not {grid.shape}")
    if not np.isfinite(grid).all():
        mode, x, y = np.argwhere(~np.isfinite(grid))[0]
        raise ValueError(
            f"energy_grid[{mode}, {x}, {y}] is {grid[mode, x, y]}: a character needs every cell; evaluate f "
            "on the whole domain, or restrict it to a domain or coordinates that fill the grid"
        )
    return grid


@cache
def _line_masks(order: int) -> dict[str, NDArray[np.bool_]]:
    a, b = np.indices((order, order))
    inner = (a > 0) & (b > 0)
    on_sum = inner & (a == b)
    on_difference = inner & (a + b == order) & ~on_sum
    return {
        "main_a": (a > 0) & (b == 0),
        "main_b": (a == 0) & (b > 0),
        "sum": on_sum,
        "difference": on_difference,
        "other": inner & ~on_sum & ~on_difference,
    }


def _conjugate_weights(order: int) -> NDArray[np.int64]:
    """Weigh characters with ω_a in 0 … M//2: 2 stands for a conjugate pair, 1 for itself, 0 is left out."""
    a, b = np.indices((order // 2 + 1, order))
    own_row = 2 * a % order == 0
    weights = np.full(a.shape, 2)
    weights[own_row & (2 * b % order == 0)] = 1
    weights[own_row & (2 * b > order)] = 0
    weights[0, 0] = 0
    return weights
