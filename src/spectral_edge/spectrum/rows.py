"""The updates of a window where they lie, read in blocks of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["HeldRows", "Rows"]


@runtime_checkable
class Rows(Protocol):
    """Updates (W, D), oldest first, of which a block of columns is in memory at a time."""

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the entries."""
        ...

    @property
    def device(self) -> torch.device:
        """Where blocks are."""
        ...

    @property
    def block(self) -> int:
        """Columns that are worth reading at once; 0 where it does not matter."""
        ...

    def read(self, columns: slice) -> Sequence[Tensor]:
        """Some columns, cut between rows: (W₁, n), (W₂, n), …"""
        ...

    def displacement(self) -> Tensor:
        """The weights at the window's end minus those at its begin, (D,), in float32 or wider."""
        ...


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Updates in memory, or in a file that is mapped there.

    Attributes:
        parts: cut between rows, (W₁, D), (W₂, D), …, oldest first.
    """

    parts: Sequence[Tensor]
    block: int = 0

    @property
    def dim(self) -> int:
        """D."""
        return int(self.parts[0].shape[1])

    @property
    def dtype(self) -> torch.dtype:
        """Of the entries."""
        return self.parts[0].dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.parts[0].device

    def read(self, columns: slice) -> list[Tensor]:
        """Views."""
        return [part[:, columns] for part in self.parts]

    def displacement(self) -> Tensor:
        """Their sum."""
        dtype = torch.promote_types(self.dtype, torch.float32)
        return torch.stack([part.sum(0, dtype=dtype) for part in self.parts]).sum(0)
