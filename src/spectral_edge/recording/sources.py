"""What a recorder reads at a training step: how far parameters have moved since the last recorded one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.recording.files import mapped_tensor
from spectral_edge.spectrum import CountSketch

__all__ = ["Flag", "ParameterUpdates", "SketchedUpdates", "Source"]


# A sketch that moved less than this, relative to its length, has not moved.
_SAME = 1e-14

# Known to the host, or on an accelerator.
Flag = bool | Tensor


class Source(Protocol):
    """A vector that moves with the parameters, and where it was when last taken."""

    anchor: Tensor
    """(D,) or (m,), the vector when last taken."""

    def look(self) -> tuple[Flag, Flag]:
        """Has anything moved, is anything not finite? Changes nothing, and does not wait for an accelerator."""
        ...

    def settle(self) -> tuple[Flag, Flag] | None:
        """The same for all processes together, where a look alone cannot tell; all must call, when none has failed."""
        ...

    def restart(self) -> None:
        """Move the anchor to where the parameters are now."""
        ...

    def write(self, row: Tensor) -> None:
        """Write the update since the anchor to ``row``, and move the anchor."""
        ...

    def blocks(self, kept: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield the update since the anchor in blocks of columns, and move the anchor where ``kept`` is true.

        Args:
            kept: () boolean on the device.
        """
        ...


class ParameterUpdates:
    """theta_now - theta_then of a subset, in float32, or in the parameters' type if that is wider.

    Args:
        values: the parameters, or their float32 masters.
        file: keep the anchor in this file, memory-mapped, and not in memory.

    Memory: D numbers of the parameters' type, or the file, and a few blocks of 4 MB.
    """

    def __init__(self, values: ParameterSubset, file: Path | None = None) -> None:
        self._values = values
        kinds = {parameter.dtype for parameter in values.parameters.values()}
        dtype = kinds.pop() if len(kinds) == 1 else torch.float32
        device = next(iter(values.parameters.values())).device
        if file is None:
            self.anchor = torch.empty(values.dim, dtype=dtype, device=device)
        else:
            self.anchor = mapped_tensor(file, (values.dim,), dtype)
        self.restart()
        self.waits = self.anchor.device.type == "cpu"  # whether looking at a value costs nothing

    def look(self) -> tuple[Flag, Flag]:
        """As :meth:`Source.look`."""
        blocks = self._values.blocks()
        if self.waits:
            # `equal` ends at the first difference, and one is enough. NaN and infinity survive a sum, which is fast;
            # a sum of large numbers may be infinite, too.
            moved = any(not torch.equal(block.values, self.anchor[block.columns]) for block in blocks)
            finite = (math.isfinite(_wide(b.values).sum()) or bool(torch.isfinite(b.values).all()) for b in blocks)
            return moved, not all(finite)
        if not blocks:
            return False, False
        differ = [(block.values != self.anchor[block.columns]).any() for block in blocks]
        total = torch.stack([_wide(block.values).sum() for block in blocks]).sum()
        return torch.stack(differ).any(), ~torch.isfinite(total)

    def settle(self) -> None:
        """As :meth:`Source.settle`: what one process sees is enough."""

    def restart(self) -> None:
        """As :meth:`Source.restart`."""
        for block in self._values.blocks():
            self.anchor[block.columns] = block.values

    def write(self, row: Tensor) -> None:
        """As :meth:`Source.write`."""
        for block in self._values.blocks():
            then, there = self.anchor[block.columns], row[block.columns]
            now = block.values.to(then.device)
            if there.device == then.device:
                torch.sub(_wide(now), then, out=there)
            else:
                there.copy_(_wide(now) - then)
            then.copy_(now)

    def blocks(self, kept: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`Source.blocks`."""
        for block in self._values.blocks():
            now, then = block.values, self.anchor[block.columns]
            yield block.columns, _wide(now) - then
            then.copy_(torch.where(kept, now, then))


class SketchedUpdates:
    """S(theta_now) - S(theta_then), which is S of the update; no copy of the parameters is kept.

    The difference is taken between float64 sketches, so that it is exact to about 1e-16 |theta|.

    Args:
        values: the parameters, or their float32 masters.
        sketch: S.

    Memory: 2 m float64.
    """

    def __init__(self, values: ParameterSubset, sketch: CountSketch) -> None:
        self._values = values
        self._sketch = sketch
        self.restart()

    def restart(self) -> None:
        """As :meth:`Source.restart`; where parameters are sharded, all processes must call."""
        self._held = self._sketch.held(self._values.blocks())
        self.anchor = self._now = self._sketch.sum(self._held)

    def look(self) -> tuple[Flag, Flag]:
        """As :meth:`Source.look`: makes this process's share of the sketch, which by itself tells nothing."""
        self._held = self._sketch.held(self._values.blocks())
        return True, False

    def settle(self) -> tuple[Flag, Flag]:
        """As :meth:`Source.settle`."""
        self._now = self._sketch.sum(self._held)
        # Sums on an accelerator may differ in their last bits from one time to the next.
        moved = (self._now - self.anchor).norm() > _SAME * self.anchor.norm()
        unusable = ~torch.isfinite(self._now).all()
        return (
            (bool(moved | unusable), bool(unusable)) if self._now.device.type == "cpu" else (moved | unusable, unusable)
        )

    def write(self, row: Tensor) -> None:
        """As :meth:`Source.write`, of what the last look saw."""
        torch.sub(self._now, self.anchor, out=row)
        self.anchor = self._now

    def blocks(self, kept: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`Source.blocks`, of what the last look saw."""
        yield slice(None), self._now - self.anchor
        self.anchor = torch.where(kept, self._now, self.anchor)


def _wide(values: Tensor) -> Tensor:
    """In float32, or as they are if their type is wider."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
