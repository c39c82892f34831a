"""What each source of the loss asks of the parameters: its gradients, added up between recorded steps."""

from __future__ import annotations

from torch import Tensor

from spectral_edge.parameters import ParameterSubset, to_local
from spectral_edge.recording.parts import RunningSum

__all__ = ["SourceGradient"]


class SourceGradient(RunningSum):
    """-Σ over backward passes inside its blocks of what they added to the parameters' gradients, since last taken.

    A block is around the backward passes of one source: a data set, a task, a term of the loss. These are gradients as
    they stand at its end: after DDP has averaged them, before clipping and before the optimizer's own metric. Gradients
    that were dropped inside the block (``zero_grad()`` by default) do not count; ``zero_grad(set_to_none=False)``
    belongs outside.

    Args:
        parameters: whose gradients, as the model holds them.

    Cost: two passes over D numbers a block. Memory: D numbers; beside the window.

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

    def __init__(self, parameters: ParameterSubset) -> None:
        super().__init__(parameters)
        self.takes_part = False
        self._parameters = parameters
        self._before: list[Tensor | None] | None = None
        self._scale = 1.0

    def begin(self, scale: float = 1.0) -> None:
        """Begin a block: what is in the gradients now is of other sources.

        Args:
            scale: what losses are multiplied by.
        """
        self._scale = scale
        self.takes_part = True
        # The sum takes the gradients of before and gives those of after, so that no copy of them is needed.
        self._before = [parameter.grad for parameter in self._parameters.parameters.values()]
        self._add(self._before, 1.0)

    def end(self) -> None:
        """End a block.

        Raises:
            ValueError: a gradient has a graph.
        """
        before, self._before = self._before, None
        if before is None:
            return  # its begin has failed
        now = [parameter.grad for parameter in self._parameters.parameters.values()]
        cleared = [old if old is not new else None for old, new in zip(before, now, strict=True)]
        self._add(cleared, -1.0)
        self._add(now, -1.0)
        graphs = [gradient for gradient in now if gradient is not None and gradient.grad_fn is not None]
        if graphs:
            raise ValueError(
                f"a gradient of shape {tuple(graphs[0].shape)} has a graph (create_graph=True), so what a source added "
                "to it cannot be told; leave create_graph out inside recorder.source"
            )

    def take(self) -> Tensor:
        """Return the sum (D,) and begin a new one."""
        self.takes_part = False
        return super().take()

    def clear_where(self, taken: Tensor) -> None:
        """As :meth:`RunningSum.clear_where`; what is kept comes with the next block."""
        self.takes_part = False
        super().clear_where(taken)

    def _add(self, gradients: list[Tensor | None], sign: float) -> None:
        for columns, gradient in zip(self._columns(), gradients, strict=True):
            if gradient is not None:
                self._total[columns].add_(to_local(gradient).reshape(-1).to(self._total), alpha=sign / self._scale)

    def _columns(self) -> list[slice]:
        columns, start = [], 0
        for shard in self._parameters.shards:
            columns.append(slice(start, start + shard.dim))
            start += shard.dim
        return columns
