"""What each source of the loss asks of the parameters: its gradients, added up between recorded steps."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset, to_local
from spectral_edge.recording.parts import RunningSum

__all__ = ["SourceGradient"]


class SourceGradient(RunningSum):
    """-Σ over backward passes inside its blocks of what they added to the parameters' gradients, since last taken.

    A block is around the backward passes of one source: a data set, a task, a term of the loss. These are gradients as
    they stand at its end: after DDP has averaged them, before clipping and before the optimizer's own metric. A block
    whose gradients are not finite counts as nothing. ``zero_grad`` and the optimizer's step belong outside.

    Args:
        parameters: whose gradients, as the model holds them.
        replaced: whether a backward pass may put other tensors in the place of gradients, as DDP does with
            ``gradient_as_bucket_view=True``. Otherwise it is a sign that they were cleared inside a block, and refused.

    Cost: three passes over D numbers a block. Memory: D numbers, twice as many more while a block runs; beside the
    window.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> source = SourceGradient(ParameterSubset(dict(layer.named_parameters())))
    >>> layer(torch.ones(1, 2)).sum().backward()  # of another source
    >>> source.begin()
    >>> layer(torch.tensor([[2.0, 3.0]])).sum().backward()
    >>> source.end()
    >>> source.take()
    tensor([-2., -3.])
    """

    def __init__(self, parameters: ParameterSubset, replaced: bool = False) -> None:
        super().__init__(parameters)
        self.takes_part = False
        self._parameters = parameters
        self._replaced = replaced
        self._before: list[tuple[Tensor, Tensor] | None] | None = None  # each gradient, and a copy of it
        self._scale = 1.0

    def begin(self, scale: float = 1.0) -> None:
        """Begin a block: what is in the gradients now is of other sources.

        Args:
            scale: what losses are multiplied by.

        Raises:
            ValueError: a block of this source is open.
        """
        if self._before is not None:
            raise ValueError("a block of recorder.source is inside another of the same source; end that one first")
        self._scale = scale
        self.takes_part = True
        found = [parameter.grad for parameter in self._parameters.parameters.values()]
        self._before = [None if g is None else (g, to_local(g).clone()) for g in found]

    def end(self) -> None:
        """End a block.

        Raises:
            ValueError: a gradient has a graph, or was cleared inside the block.
        """
        before, self._before = self._before, None
        if before is None:
            return  # its begin has failed
        added = torch.zeros_like(self._total)
        now = [parameter.grad for parameter in self._parameters.parameters.values()]
        for columns, new, old in zip(self._columns(), now, before, strict=True):
            self._check(new, old)
            if new is not None:
                added[columns] += to_local(new).reshape(-1).to(added)
            if old is not None:
                added[columns] -= old[1].reshape(-1).to(added)
        self._total -= torch.where(torch.isfinite(added).all(), added / self._scale, 0.0)

    def _check(self, new: Tensor | None, old: tuple[Tensor, Tensor] | None) -> None:
        if new is not None and new.grad_fn is not None:
            raise ValueError(
                f"a gradient of shape {tuple(new.shape)} has a graph (create_graph=True), so what a source added to it "
                "cannot be told; leave create_graph out inside recorder.source"
            )
        if old is not None and new is not old[0] and not self._replaced:
            raise ValueError(
                f"a gradient of shape {tuple(old[1].shape)} was cleared inside recorder.source; call zero_grad before "
                "the blocks"
            )

    def take(self) -> Tensor:
        """Return the sum (D,) and begin a new one.

        Raises:
            ValueError: a block is open.
        """
        self._refuse_open()
        self.takes_part = False
        return super().take()

    def clear_where(self, taken: Tensor) -> None:
        """As :meth:`RunningSum.clear_where`; what is kept comes with the next block.

        Raises:
            ValueError: a block is open.
        """
        self._refuse_open()
        self.takes_part = False
        super().clear_where(taken)

    def resume(self) -> None:
        """As :meth:`RunningSum.resume`."""
        self._before = None
        self.takes_part = bool(self._total.any())

    def _refuse_open(self) -> None:
        if self._before is not None:
            raise ValueError("the optimizer has stepped inside a block of recorder.source; step after the blocks")

    def _columns(self) -> list[slice]:
        columns, start = [], 0
        for shard in self._parameters.shards:
            columns.append(slice(start, start + shard.dim))
            start += shard.dim
        return columns
