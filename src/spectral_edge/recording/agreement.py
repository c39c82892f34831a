"""What processes that hold shards tell each other, so that all of them go on or all of them stop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectral_edge.recording.sources import Flag, Source
from spectral_edge.spectrum import InnerProducts

__all__ = ["Agreement", "RecordingStoppedError"]

_ANOTHER = "another process stopped recording; its log says why"


class RecordingStoppedError(RuntimeError):
    """Recording has stopped, and why; training goes on."""


class Agreement:
    """Exchanges between processes; where parameters are whole there are none.

    Args:
        products: sums over the processes.
        deferred: whether flags stay on the device.

    Attributes:
        products: as above.
        told: whether the other processes know that this one has stopped.
    """

    def __init__(self, products: InnerProducts, deferred: bool) -> None:
        self.products = products
        self.told = False
        self._deferred = deferred

    @property
    def sharded(self) -> bool:
        """Whether there are other processes to agree with."""
        return self.products.sharded

    def look(
        self, source: Source, check: Callable[[], None], stopped: bool, stop: Callable[[str], None]
    ) -> tuple[Flag, Flag]:
        """Has anything moved, is anything not finite? The same answers in all processes that hold shards.

        Args:
            source: what reads the parameters.
            check: raises if they are no longer those that are recorded.
            stopped: whether this process has stopped.
            stop: stops it, where an exchange must be gone through nevertheless.

        Raises:
            RecordingStoppedError: another process has stopped.
        """
        if not self.sharded:
            check()
            flags = source.look()
            return source.settle() or flags

        def here() -> Tensor:
            check()
            seen = (*source.look(), stopped)
            return torch.stack([torch.as_tensor(flag, device=source.anchor.device) for flag in seen]).double()

        try:
            total = self.products.total(here, torch.zeros(3, dtype=torch.float64, device=source.anchor.device))
        except Exception as problem:  # the others have got NaN in its place
            if not self._deferred:
                self.told = True
                raise
            stop(f"{type(problem).__name__}: {problem}")
            total = torch.full((3,), torch.nan, dtype=torch.float64, device=source.anchor.device)
        if self._deferred:  # nobody reads the device before the next look at the spectrum, where all stop together
            settled = source.settle() or (total[0] > 0, total[1] > 0)
            healthy = total[2] == 0
            return torch.as_tensor(settled[0]) & healthy, torch.as_tensor(settled[1]) | ~healthy
        moved, unusable, others = total.tolist()
        if others or moved != moved:
            self.told = True
            raise RecordingStoppedError(_ANOTHER)
        return source.settle() or (moved > 0, unusable > 0)

    def go_on(self, failure: Exception | None, stopped: bool) -> None:
        """All processes go on to the sums of a spectrum, or none does.

        Raises:
            Exception: the failure of this process.
            RecordingStoppedError: another process has stopped.
        """
        if self.sharded and self.anyone(failure is not None or stopped):
            self.told = True
            failure = failure or RecordingStoppedError(_ANOTHER)
        if failure is not None:
            raise failure

    def anyone(self, here: bool) -> bool:
        """Whether it is so in any process; all must call."""
        flag = torch.tensor([float(here)], dtype=torch.float64)
        return bool(float(self.products.total(flag.clone, flag)))
