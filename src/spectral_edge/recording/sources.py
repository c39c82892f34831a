"""What a recorder reads at a training step: how far parameters have moved since the last recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.spectrum import CountSketch

__all__ = ["ParameterUpdates", "SketchedUpdates", "Source"]


def wide_type(values: Tensor) -> torch.dtype:
    """float32, or the type of ``values`` if it is wider."""
    return torch.promote_types(values.dtype, torch.float32)


def _differ(now: Tensor, then: Tensor) -> Tensor | bool:
    if now.device.type == "cpu":  # ends at the first difference: 300 times faster than a comparison of all
        return not torch.equal(now, then)
    return (now != then.to(now.device)).any()


class Source(Protocol):
    """A vector that moves with the parameters, and where it was when last taken."""

    anchor: Tensor
    """(D,) or (m,), the vector when last taken."""

    def look(self) -> Tensor:
        """(2,) float64 flags, on the device: has anything moved, is anything not finite; changes nothing."""
        ...

    def take(self, kept: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield the update since the anchor in blocks of columns, and move the anchor.

        Args:
            kept: a boolean on the device; the anchor stays where it is false.
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
        if file is None or values.dim == 0:
            self.anchor = torch.empty(values.dim, dtype=dtype, device=device)
        else:
            self.anchor = torch.from_file(str(file), shared=True, size=values.dim, dtype=dtype)
        for _, _, columns, now in values.blocks():
            self.anchor[columns] = now

    def look(self) -> Tensor:
        """As :meth:`Source.look`."""
        moved = torch.zeros((), dtype=torch.float64, device=self.anchor.device)
        total = torch.zeros((), dtype=torch.float64, device=self.anchor.device)
        for _, _, columns, now in self._values.blocks():
            total += now.sum(dtype=wide_type(now))  # NaN and infinity survive a sum; cheaper than a look at each entry
            moved += _differ(now, self.anchor[columns])
        return torch.stack([moved, ~torch.isfinite(total)])

    def take(self, kept: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`Source.take`."""
        for _, _, columns, now in self._values.blocks():
            then = self.anchor[columns]
            now = now.to(then.device)
            yield columns, now.to(wide_type(now)) - then
            then.copy_(now if kept is None else torch.where(kept, now, then))


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
        self.anchor = sketch(values.blocks())
        self._now = self.anchor

    def look(self) -> Tensor:
        """As :meth:`Source.look`; where parameters are sharded, all processes must call."""
        self._now = self._sketch(self._values.blocks())
        return torch.stack([(self._now != self.anchor).any(), ~torch.isfinite(self._now).all()]).double()

    def take(self, kept: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """As :meth:`Source.take`, of what the last look saw."""
        yield slice(None), self._now - self.anchor
        self.anchor = self._now if kept is None else torch.where(kept, self._now, self.anchor)
