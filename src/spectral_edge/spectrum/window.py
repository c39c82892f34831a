"""A rolling window of updates that keeps its Gram matrix current at the cost of new rows only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectral_edge.spectrum.edge import SpectralEdge, edge_from_gram, gram_matrix

__all__ = ["UpdateWindow", "stacked_updates"]


class UpdateWindow:
    """The last W updates (W, D) in float32 and their (W, W) Gram matrix in float64.

    A push is one copy of D floats. The Gram matrix is brought up to date when it is asked for: rows that arrived
    since are multiplied with the window in one pass, so reading it every step costs 2 W D flops and reading it
    every W steps or more costs 2 W^2 D, whatever was pushed in between.

    Args:
        size: W >= 2.
        dim: D >= 1.
        device: where the rows are kept.

    Memory: 4 W D bytes.

    >>> window = UpdateWindow(size=2, dim=3)
    >>> for update in torch.eye(3): window.push(update)
    >>> window.edge(center=False).singular_values.tolist()
    [1.0, 1.0]
    """

    def __init__(self, size: int, dim: int, device: torch.device | str = "cpu") -> None:
        if size < 2:
            raise ValueError(f"UpdateWindow: size = {size}, but a spectrum needs at least 2 updates")
        if dim < 1:
            raise ValueError(f"UpdateWindow: dim = {dim}, the parameter subset is empty")
        self._rows = torch.zeros(size, dim, dtype=torch.float32, device=device)
        self._gram = torch.zeros(size, size, dtype=torch.float64, device=device)
        self._stale: set[int] = set()
        self._pushed = 0

    @property
    def size(self) -> int:
        """W."""
        return len(self._rows)

    @property
    def full(self) -> bool:
        """Whether W updates have arrived."""
        return self._pushed >= self.size

    def push(self, update: Tensor) -> None:
        """Append one update (D,), dropping the oldest once the window is full.

        Raises:
            ValueError: the update does not have D entries.
        """
        if update.shape != self._rows.shape[1:]:
            raise ValueError(f"UpdateWindow: update has shape {tuple(update.shape)}, expected ({self._rows.shape[1]},)")
        slot = self._pushed % self.size
        self._rows[slot].copy_(update)
        self._stale.add(slot)
        self._pushed += 1

    def _order(self) -> list[int]:
        start = self._pushed % self.size if self.full else 0
        return [(start + i) % self.size for i in range(min(self._pushed, self.size))]

    @property
    def updates(self) -> Tensor:
        """A copy of the rows, oldest first, (min(pushed, W), D)."""
        return self._rows[self._order()]

    @property
    def gram_matrix(self) -> Tensor:
        """G_ij = <update_i, update_j>, oldest first, float64."""
        if self._stale:
            stale = sorted(self._stale)
            fresh = gram_matrix(self._rows[stale], self._rows)
            self._gram[stale] = fresh
            self._gram[:, stale] = fresh.T
            self._stale.clear()
        order = self._order()
        return self._gram[order][:, order]

    def edge(self, center: bool = True) -> SpectralEdge:
        """The spectral edge of the window as it is now; later pushes do not change the result.

        Raises:
            ValueError: fewer than W updates have arrived, or as :func:`spectral_edge`.
        """
        if not self.full:
            raise ValueError(
                f"UpdateWindow: only {self._pushed} of {self.size} updates recorded; wait or choose a smaller window"
            )
        return edge_from_gram(self.gram_matrix, self.updates, center)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise: rows, Gram matrix, which of its rows are due, number pushed."""
        stale = torch.zeros(self.size, dtype=torch.bool)
        stale[sorted(self._stale)] = True
        pushed = torch.tensor(self._pushed)
        return {"rows": self._rows.clone(), "gram": self._gram.clone(), "stale": stale, "pushed": pushed}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore :meth:`state_dict`.

        Raises:
            ValueError: the stored window has another size or dimension.
        """
        if state["rows"].shape != self._rows.shape:
            raise ValueError(
                f"UpdateWindow: stored window is {tuple(state['rows'].shape)}, this one {tuple(self._rows.shape)}"
            )
        self._rows.copy_(state["rows"])
        self._gram.copy_(state["gram"])
        self._pushed = int(state["pushed"])
        self._stale = set(state["stale"].nonzero().flatten().tolist())


def stacked_updates(parameters: Sequence[Tensor], window: int) -> Tensor:
    """The last ``window`` differences of a sequence of flat parameter vectors, oldest first, (window, D).

    Args:
        parameters: at least window + 1 vectors (D,), equally many optimizer steps apart.
        window: W >= 2.

    Raises:
        ValueError: there are fewer than window + 1 vectors.
    """
    if len(parameters) < window + 1:
        raise ValueError(
            f"stacked_updates: a window of {window} updates needs {window + 1} snapshots, there are {len(parameters)}; "
            f"use window <= {len(parameters) - 1} or a smaller stride"
        )
    theta = torch.stack(list(parameters[-(window + 1) :]))
    return theta[1:] - theta[:-1]
