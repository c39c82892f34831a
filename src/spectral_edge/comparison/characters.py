"""Shares of the signed 2-D spectrum of a function of two tokens, as statistics of a response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from spectral_edge.bases import CharacterSpectrum, CoordinateSystem, character_spectrum, coordinate_order, to_grid
from spectral_edge.comparison.features import computed_once, energy_of
from spectral_edge.comparison.statistic import Takes

__all__ = ["CharacterShare"]

Floats = NDArray[np.float64]

CharacterLine = Literal["main_a", "main_b", "sum", "difference", "other"]


@dataclass(frozen=True, eq=False, repr=False)
class CharacterShare:
    """Share of the variance of f(a, b) = ||response(a, b)||² on one line of characters.

    The characters (ω, ω) are functions of x + y ("sum"), (ω, -ω) of x - y ("difference"), (ω, 0) and (0, ω) of one
    token ("main_a", "main_b"), where x and y are the coordinates of the pair. Source: ours;
    :func:`~spectral_edge.bases.character_spectrum`.

    Args:
        pairs: (N, 2) all pairs whose coordinates are defined, each once.
        p: the modulus.
        line: of which the share is taken.
        coordinates: ``"additive"``, ``"discrete_log"`` or ``"gaussian"``.
        diagonal: whether f at pairs a = b is kept, or set to the mean of f elsewhere: a spike there is a function of
            a - b.

    >>> import torch
    >>> pairs = np.stack(np.divmod(np.arange(49), 7), axis=1)
    >>> wave = torch.tensor(2 + np.cos(2 * np.pi * 3 * pairs.sum(axis=1) / 7)).sqrt()[:, None]
    >>> round(CharacterShare(pairs, 7, "sum")(wave), 3)
    1.0
    """

    pairs: ArrayLike
    p: int
    line: CharacterLine
    coordinates: CoordinateSystem = "additive"
    diagonal: Literal["kept", "averaged"] = "kept"

    takes: ClassVar[Takes] = "response"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("line", self.line, get_args(CharacterLine)),
            ("diagonal", self.diagonal, ("kept", "averaged")),
        ):
            if value not in known:
                raise ValueError(f"CharacterShare: {name} = {value!r} is unknown; choose {', '.join(known)}")

    @property
    def name(self) -> str:
        """``share_of_sum``, …."""
        return f"share_of_{self.line}"

    def spectrum(self, response: Tensor) -> CharacterSpectrum:
        """The signed spectrum of a response (N, d); computed once for all lines.

        Raises:
            ValueError: pairs do not fit the response, or do not fill the grid of the coordinates.
        """
        key = ("characters", id(self.pairs), self.p, self.coordinates, self.diagonal)
        return computed_once(response, key, lambda: (character_spectrum(self._grid(response)), self.pairs))[0]

    def of_spectrum(self, spectrum: CharacterSpectrum) -> float:
        """The share, in [0, 1]."""
        return float(spectrum.shares[self.line][0])

    def __call__(self, response: Tensor) -> float:
        """The share of a response (N, d)."""
        return self.of_spectrum(self.spectrum(response))

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Exchange whole tokens: x is called π(x) and y is called ρ(y), two random permutations.

        Keeps the share of each token alone exactly, and breaks every tie of the two.
        """
        tokens = self._permutations(generator, 1)
        return lambda response: float(self._with_tokens(response, tokens)[0])

    def permuted_values(self, response: Tensor, generator: np.random.Generator, n: int) -> Floats:
        """(n,) values, the tokens exchanged at random for each."""
        return self._with_tokens(response, self._permutations(generator, n))

    def _permutations(self, generator: np.random.Generator, n: int) -> NDArray[np.int64]:
        """(n, 2, M) permutations of the tokens of either argument."""
        tokens = np.arange(coordinate_order(self.p, self.coordinates))
        return generator.permuted(np.tile(tokens, (n, 2, 1)), axis=2)

    def _with_tokens(self, response: Tensor, tokens: NDArray[np.int64]) -> Floats:
        order = tokens.shape[-1]
        grid = self._grid(response)[0]
        power = {sign: line_power(grid, tokens, sign) for sign in (1, -1)}
        # A character is a conjugate of another, and the permuted grid has the variance of the grid.
        total = order**2 * ((grid - grid.mean()) ** 2).sum()
        return self.of_lines(power[1] / total, power[-1] / total, self.spectrum(response))

    def of_lines(self, on_sum: Floats, on_difference: Floats, spectrum: CharacterSpectrum) -> Floats:
        """The shares (n,) of permuted grids, from those of the characters (ω, ω) and (ω, -ω), ω = 1 … M-1."""
        order = spectrum.order
        # For even M, (M/2, M/2) lies on both lines and is given to sum.
        twice = on_difference[:, order // 2 - 1] if order % 2 == 0 else np.zeros(len(on_difference))
        difference = on_difference.sum(axis=1) - twice
        if self.line in ("main_a", "main_b"):
            return np.repeat(spectrum.shares[self.line], len(on_sum))
        if self.line == "other":
            mains = spectrum.shares["main_a"] + spectrum.shares["main_b"]
            return 1 - mains - on_sum.sum(axis=1) - difference
        return on_sum.sum(axis=1) if self.line == "sum" else difference

    def _grid(self, response: Tensor) -> NDArray[np.float64]:
        key = ("grid", id(self.pairs), self.p, self.coordinates, self.diagonal)
        return computed_once(response, key, lambda: (self._laid_out(response), self.pairs))[0]

    def _laid_out(self, response: Tensor) -> NDArray[np.float64]:
        pairs = np.asarray(self.pairs)
        energy = energy_of(response)
        if len(pairs) != len(energy):
            raise ValueError(f"CharacterShare: {len(pairs)} pairs for {len(energy)} inputs")
        if self.diagonal == "averaged":
            a, b = pairs.T
            energy = np.where(a == b, energy[a != b].mean(), energy)
        return to_grid(energy, pairs, self.p, self.coordinates)

    def __repr__(self) -> str:
        return f"CharacterShare({self.line}, {self.coordinates}, diagonal {self.diagonal})"


def line_power(grid: Floats, tokens: NDArray[np.int64], sign: int) -> Floats:
    """Power of the characters (ω, sign ω), ω = 1 … M-1, of a grid (M, M) with its tokens exchanged, (n, M-1).

    Such a character sees only the sums of f over the lines x + sign y = s, so its power is that of their transform.

    Args:
        grid: f(x, y).
        tokens: (n, 2, M): row x of grid i is ``grid[tokens[i, 0, x]]``, column y likewise.
        sign: 1 for x + y, -1 for x - y.
    """
    order = len(grid)
    x, s = np.arange(order)[:, None], np.arange(order)[None]
    y = sign * (s - x) % order
    sums = grid[tokens[:, 0, :, None], tokens[:, 1][:, y]].sum(axis=1)
    return np.abs(np.fft.fft(sums)[:, 1:]) ** 2
