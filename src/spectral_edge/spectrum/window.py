"""A rolling window of updates that keeps its Gram matrix current at the cost of new rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.parameters import Shard
from spectral_edge.spectrum.edge import SpectralEdge, edge_from_gram
from spectral_edge.spectrum.inner_products import InnerProducts

__all__ = ["UpdateWindow", "stacked_updates"]

Floats = NDArray[np.float64]
Blocks = Iterable[tuple[slice, Tensor]]


class UpdateWindow:
    """The last W updates (W, D) and their (W, W) Gram matrix in float64.

    A push is one copy of D numbers. The Gram matrix is brought up to date when it is asked for: rows that arrived
    since are multiplied with the window in one pass, so reading it every step costs 2 W D flops and reading it
    every W steps or more costs 2 W^2 D, whatever was pushed in between.

    Args:
        size: W >= 2.
        dim: D >= 1, or 0 for a process that holds nothing of sharded parameters.
        dtype: of the rows, ``torch.float32``, ``torch.bfloat16`` (a relative rounding error of 2⁻⁹ an entry) or
            ``torch.float64``.
        device: where the rows are kept.
        rows: (W, D) to keep them in, as a memory-mapped file, in place of ``dtype`` and ``device``; edges are then
            taken without a copy.
        zeros: whether updates may be zero, as gradients of a source may; otherwise an edge of such a window is refused.
        shards: what the columns are, where parameters are sharded over processes: inner products are then summed over
            the processes, each element once, and *all of them must read* ``gram_matrix`` or ``edge`` at the same time.

    Memory: W D numbers, or those given.

    >>> window = UpdateWindow(size=2, dim=3)
    >>> for update in torch.eye(3): window.push(update)
    >>> window.edge(center=False).singular_values.tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        rows: Tensor | None = None,
        zeros: bool = False,
        shards: Sequence[Shard] = (),
    ) -> None:
        if size < 2:
            raise ValueError(f"UpdateWindow: size = {size}, but a spectrum needs at least 2 updates")
        if dim < 1 and not any(shard.mesh is not None for shard in shards):
            raise ValueError(f"UpdateWindow: dim = {dim}, the parameter subset is empty")
        self._rows = torch.zeros(size, dim, dtype=dtype, device=device) if rows is None else rows.view(size, dim)
        self._in_place = rows is not None
        self._zeros = zeros
        self._gram = torch.zeros(size, size, dtype=torch.float64, device=self._rows.device)
        self._steps = torch.zeros(size, dtype=torch.int64, device=self._rows.device)
        self._pushed: int | Tensor = 0
        self._summed = 0  # updates whose inner products are in the Gram matrix
        self._begun = 0  # times that it began anew, from nothing or from a state
        self.shards = tuple(shards)
        self._products = InnerProducts(shards)

    @property
    def size(self) -> int:
        """W."""
        return len(self._rows)

    @property
    def dim(self) -> int:
        """D."""
        return self._rows.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self._rows.device

    @property
    def wide_dtype(self) -> torch.dtype:
        """Of directions: float32, or float64 where the rows are."""
        return torch.promote_types(self._rows.dtype, torch.float32)

    @property
    def pushed(self) -> int:
        """Updates that have arrived, also those that were dropped again."""
        return int(self._pushed)

    @property
    def moment(self) -> tuple[int, int]:
        """Another one whenever the window has changed."""
        return self._begun, self.pushed

    @property
    def full(self) -> bool:
        """Whether W updates have arrived."""
        return self.pushed >= self.size

    @property
    def steps(self) -> list[int]:
        """Training steps at which the updates in the window end, oldest first."""
        return self._steps[self._order()].tolist()

    def push(self, update: Tensor, step: int | None = None) -> None:
        """Append one update (D,), dropping the oldest once the window is full.

        Args:
            update: D numbers.
            step: the training step that it ends at; counted from 1 if left out.

        Raises:
            ValueError: the update does not have D entries.
        """
        if update.shape != self._rows.shape[1:]:
            raise ValueError(f"UpdateWindow: update has shape {tuple(update.shape)}, expected ({self._rows.shape[1]},)")
        self.push_row(lambda row: row.copy_(update.detach()), self.pushed + 1 if step is None else step)

    def push_row(self, write: Callable[[Tensor], object], step: int) -> None:
        """Append one update that is written in place, so that it never exists elsewhere.

        Args:
            write: fills the (D,) row that it is given.
            step: the training step that the update ends at.
        """
        slot = self._pushed % self.size
        write(self._rows[slot])
        self._steps[slot] = step
        self._pushed = self._pushed + 1

    def push_if(self, kept: Tensor, blocks: Blocks, step: int) -> None:
        """Append one update, or drop it, as a boolean on the device says: without waiting for the device.

        Args:
            kept: () boolean on the device; where it is false, nothing changes.
            blocks: (columns, values), together all columns.
            step: the training step that the update ends at.
        """
        if isinstance(self._pushed, int):
            self._pushed = torch.tensor(self._pushed, device=self._rows.device)
        place = (self._pushed % self.size).view(1)
        for columns, values in blocks:
            there = self._rows[:, columns]
            chosen = torch.where(kept, values.to(there.dtype), there.index_select(0, place)[0])
            there.index_copy_(0, place, chosen[None])
        self._steps.index_copy_(0, place, torch.where(kept, step, self._steps.index_select(0, place)))
        self._pushed = self._pushed + kept

    def clear(self) -> None:
        """Forget all updates."""
        self._pushed, self._summed = 0, 0
        self._begun += 1

    def _order(self) -> list[int]:
        pushed = self.pushed
        start = pushed % self.size if pushed >= self.size else 0
        return [(start + i) % self.size for i in range(min(pushed, self.size))]

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """The rows in place, oldest first: (W₁, D) and (W₂, D), which the next push changes."""
        start = self.pushed % self.size if self.full else 0
        return self._rows[start : min(self.pushed, self.size)], self._rows[:start]

    @property
    def updates(self) -> Tensor:
        """A copy of the rows, oldest first, (min(pushed, W), D)."""
        return self._rows[self._order()]

    @property
    def gram_matrix(self) -> Tensor:
        """G_ij = <update_i, update_j>, oldest first, float64."""
        fresh = min(self.pushed - self._summed, self.size)
        if fresh:
            slots = sorted((self.pushed - 1 - i) % self.size for i in range(fresh))
            products = self._products(self._rows, rows=None if fresh == self.size else slots)
            self._gram[slots] = products
            self._gram[:, slots] = products.T
            self._summed = self.pushed
        order = self._order()
        return self._gram[order][:, order]

    def inner_products(self, vectors: Tensor) -> Tensor:
        """<vector_i, update_j>, updates oldest first, (V, W) float64; all processes must call where any is sharded."""
        return self._products(vectors, self._rows)[:, self._order()]

    def remembered(self, edge: SpectralEdge, k: int, room: Callable[[int], Tensor]) -> Tensor:
        """What is kept of an edge of this window, so that the next window's can be compared with it: v_1 … v_k.

        Args:
            edge: of this window.
            k: directions.
            room: gives (k, D) to keep them in.
        """
        return edge.directions(k, out=room(k))

    def can_be_remembered(self, given: Tensor) -> bool:
        """Whether a tensor has the shape of what :meth:`remembered` returns."""
        return given.ndim == 2 and given.shape[1] == self.dim and len(given) > 0

    def overlaps(self, edge: SpectralEdge, k: int, remembered: Tensor) -> Floats:
        """⟨v_i, v'_j⟩ of the first k directions of an edge of this window and the remembered ones, (k, k')."""
        return np.asarray(edge.coefficients(k) @ self.inner_products(remembered).cpu().numpy().T)

    def edge(self, center: bool = True, *, copy: bool = True) -> SpectralEdge:
        """The spectral edge of the window as it is now; later pushes do not change it.

        Args:
            center: subtract the mean of the window.
            copy: keep a copy of the updates, W D numbers, for the directions. Without it, as always where rows were
                given, directions can be asked for until the next push.

        Raises:
            ValueError: fewer than W updates have arrived, or as :func:`spectral_edge`.
        """
        if not self.full:
            raise ValueError(
                f"UpdateWindow: only {self.pushed} of {self.size} updates recorded; wait or choose a smaller window"
            )
        gram = self.gram_matrix
        if copy and not self._in_place:
            updates = self.updates
            return self._edge(gram, lambda: (updates,), center)
        taken = self.moment

        def parts() -> tuple[Tensor, Tensor]:
            self.check_unmoved(taken)
            return self.parts

        return self._edge(gram, parts, center)

    def _edge(self, gram: Tensor, parts: Callable[[], tuple[Tensor, ...]], center: bool) -> SpectralEdge:
        dim = sum(torch.Size(shard.full_shape).numel() for shard in self.shards) or self.dim
        found = edge_from_gram(gram, parts, center, self._products.sharded, self._zeros, dim)
        return self._agreed(found)

    def check_unmoved(self, moment: tuple[int, int]) -> None:
        """Raise if the window has changed since a moment.

        Raises:
            ValueError: it has.
        """
        if self.moment == moment:
            return
        (begun, pushed), (then, before) = self.moment, moment
        how = f"moved on by {pushed - before} updates" if begun == then else "been restored or cleared"
        raise ValueError(
            f"directions: the window has {how} since this edge was taken, and keeps no copy; ask for directions before "
            "the next step, or take the edge again"
        )

    def _agreed(self, edge: SpectralEdge) -> SpectralEdge:
        """The first process's eigenvectors for all: machines may differ in their signs and last bits."""
        if not self._products.sharded:
            return edge
        spectrum = torch.from_numpy(np.vstack([edge.singular_values, edge.left])).to(self._rows.device)
        found = self._products.agree(spectrum).cpu().numpy()
        return replace(edge, singular_values=found[0], left=found[1:])

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise: rows, their steps, Gram matrix, how far it goes, number pushed.

        Rows that were given are not copied: save the state before the next push.
        """
        rows = self._rows if self._in_place else self._rows.clone()
        counts = torch.tensor([self.pushed, self._summed])
        return {"rows": rows, "gram": self._gram.clone(), "steps": self._steps.clone(), "counts": counts}

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Refuse what :meth:`load_state_dict` cannot restore; changes nothing.

        Raises:
            ValueError: the stored window has another size, dimension or type, or is damaged.
        """
        mine = {
            "rows": self._rows,
            "gram": self._gram,
            "steps": self._steps,
            "counts": torch.zeros(2, dtype=torch.int64),
        }
        for name, tensor in mine.items():
            given = state.get(name)
            if given is None or given.shape != tensor.shape or given.dtype != tensor.dtype:
                found = "missing" if given is None else f"{given.dtype}, {tuple(given.shape)}"
                raise ValueError(
                    f"UpdateWindow: {name} of the stored window is {found}; this window has {tensor.dtype}, "
                    f"{tuple(tensor.shape)}"
                )
        pushed, summed = state["counts"].tolist()
        if not 0 <= summed <= pushed:
            raise ValueError(f"UpdateWindow: the stored counts {pushed} and {summed} cannot be; the state is damaged")

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`.

        Raises:
            ValueError: as :meth:`check_state`; nothing is changed then.
        """
        self.check_state(state)
        self._pushed, self._summed = state["counts"].tolist()
        self._rows.copy_(state["rows"])
        self._gram.copy_(state["gram"])
        self._steps.copy_(state["steps"])
        self._begun += 1


def stacked_updates(parameters: Sequence[Tensor], window: int) -> Tensor:
    """The last ``window`` differences of a sequence of flat parameter vectors, oldest first, (window, D).

    Args:
        parameters: at least window + 1 vectors (D,), equally many optimizer steps apart.
        window: W >= 2.

    Raises:
        ValueError: the window is smaller than 2, or there are fewer than window + 1 vectors.
    """
    if window < 2:
        raise ValueError(f"stacked_updates: window = {window}; a window has at least 2 updates")
    if len(parameters) < window + 1:
        raise ValueError(
            f"stacked_updates: a window of {window} updates needs {window + 1} snapshots, there are {len(parameters)}; "
            f"use window <= {len(parameters) - 1} or a smaller stride"
        )
    theta = torch.stack(list(parameters[-(window + 1) :]))
    return theta[1:] - theta[:-1]
