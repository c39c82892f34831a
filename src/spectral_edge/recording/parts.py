"""Parts of updates that are kept beside them: vectors that add up between recorded steps, and windows of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.spectrum import UpdateWindow

__all__ = ["PartWindow", "RunningSum", "UpdatePart", "below"]

UpdatePart = Literal["update", "decay", "gradient"]
"""An update as it is, its weight decay, or what gradients did: the rest of it, or the gradients of one source."""


class RunningSum:
    """A vector (D,) that something adds to between recorded steps.

    Attributes:
        takes_part: whether anything can have been added since it was last taken.

    Args:
        parameters: its layout, and where it is kept; float32, or the parameters' type if that is wider.
    """

    def __init__(self, parameters: ParameterSubset) -> None:
        self.takes_part = True
        first = next(iter(parameters.parameters.values()))
        dtype = torch.promote_types(first.dtype, torch.float32)
        self._total = torch.zeros(parameters.dim, dtype=dtype, device=first.device)

    @property
    def total(self) -> Tensor:
        """The sum so far, (D,); whoever adds to it changes it."""
        return self._total

    def take(self) -> Tensor:
        """Return the sum (D,) and begin a new one."""
        taken, self._total = self._total, torch.zeros_like(self._total)
        return taken

    def clear_where(self, taken: Tensor) -> None:
        """Begin a new sum where ``taken``, () boolean on the device, is true; nobody waits for the device.

        What is not finite is forgotten: it is of steps that were undone.
        """
        kept = _finite(self._total)
        self._total = torch.where(taken, torch.zeros_like(kept), kept)

    def read_from(self, parameters: ParameterSubset) -> None:
        """Read these tensors from now on, of the same layout."""

    def resume(self) -> None:
        """Go on from a sum that was restored."""

    def close(self) -> None:
        """Stop adding."""


class PartWindow:
    """One part of each of the last W updates, beside the window of the updates themselves.

    Args:
        name: of the part, in states.
        part: that adds up between updates.
        size: W.
        parameters: layout, place and shards.
        zeros: whether it may be zero in an update, as the gradient of a loss that is met.

    Memory: W D numbers.
    """

    def __init__(
        self, name: str, part: RunningSum, size: int, parameters: ParameterSubset, *, zeros: bool = False
    ) -> None:
        self.name = name
        self.part = part
        shards = parameters.shards if parameters.sharded else ()
        total = part.total
        self.window = UpdateWindow(size, parameters.dim, device=total.device, zeros=zeros, shards=shards)

    @property
    def total_name(self) -> str:
        """The entry of a state that only a recorder with this part has."""
        return f"{self.name}.total"

    def take(self, step: int, kept: Tensor | None) -> None:
        """Append the part of the update that ends at ``step``, unless ``kept``, on the device, is false.

        A part that has not taken part has no row. An entry that is not finite counts as 0.
        """
        if not self.part.takes_part:
            return
        if kept is None:
            self.window.push(_finite(self.part.take()), step)
            return
        self.window.push_if(kept, [(slice(None), _finite(self.part.total))], step)
        self.part.clear_where(kept)

    def taken_from(self, updates: UpdateWindow) -> UpdateWindow:
        """The window of what is left of the updates without this part, a copy of W D numbers."""
        own = self.window
        rest = UpdateWindow(own.size, own.dim, dtype=own.wide_dtype, device=own.device, shards=own.shards)
        for update, part, step in zip(updates.updates, own.updates, updates.steps, strict=True):
            rest.push(update.to(part.dtype) - part, step)
        return rest

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise."""
        rows = {f"{self.name}.{entry}": value for entry, value in self.window.state_dict().items()}
        return rows | {self.total_name: self.part.total.clone()}

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Refuse what :meth:`load_state_dict` cannot restore; changes nothing.

        Raises:
            ValueError: an entry is missing or of another shape or type.
        """
        total = state.get(self.total_name)
        if total is None or (total.shape, total.dtype) != (self.part.total.shape, self.part.total.dtype):
            raise ValueError(
                f"Recorder.load_state_dict: the state has no {self.name} of this shape; the recorder that saved it did "
                "not keep it"
            )
        self.window.check_state(below(f"{self.name}.", state))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`, which has been checked."""
        total = state[self.total_name]
        self.window.load_state_dict(below(f"{self.name}.", state))
        self.part.total.copy_(total)
        self.part.resume()


def below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a state that begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _finite(vector: Tensor) -> Tensor:
    return torch.nan_to_num(vector, nan=0.0, posinf=0.0, neginf=0.0)
