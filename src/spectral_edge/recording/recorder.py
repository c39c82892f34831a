"""Watch an optimizer: one update per ``every`` steps into a rolling window, without touching the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset, Selector, select_parameters
from spectral_edge.spectrum import SpectralEdge, UpdateWindow

__all__ = ["Recorder", "watch"]


class Recorder:
    """The last W updates theta_t - theta_{t - every} of a parameter subset; made by :func:`watch`.

    Attributes:
        parameters: what is recorded.
        every: optimizer steps between recorded parameters, the ``stride`` of the updates.
        steps: optimizer steps seen.
        window: the rolling window and its Gram matrix.
    """

    def __init__(self, parameters: ParameterSubset, window: int, every: int) -> None:
        if every < 1:
            raise ValueError(f"watch: every = {every}; it counts optimizer steps and must be at least 1")
        self.parameters = parameters
        self.every = every
        self.steps = 0
        self._anchor = parameters.flatten()
        self.window = UpdateWindow(window, parameters.dim, device=self._anchor.device)

    def _after_step(self, *_: Any) -> None:
        self.steps += 1
        if self.steps % self.every:
            return
        theta = self.parameters.flatten()
        # A step that an AMP scaler skipped, or that only initialised optimizer state, moves nothing: no update.
        if not torch.equal(theta, self._anchor):
            self.window.push(theta - self._anchor)
            self._anchor = theta

    def edge(self, center: bool = True) -> SpectralEdge:
        """The spectral edge of the last W updates.

        Raises:
            ValueError: fewer than W updates have been recorded yet.
        """
        return self.window.edge(center)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise, to be saved with the training state."""
        return {"anchor": self._anchor.clone(), "steps": torch.tensor(self.steps), **self.window.state_dict()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore :meth:`state_dict`.

        Raises:
            ValueError: the stored window has another size or dimension.
        """
        self.window.load_state_dict(state)
        self._anchor = state["anchor"].clone()
        self.steps = int(state["steps"])

    def __repr__(self) -> str:
        return f"Recorder({self.parameters}, window={self.window.size}, every={self.every}, steps={self.steps})"


@contextmanager
def watch(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    parameters: Selector | ParameterSubset = "attention",
    window: int = 20,
    every: int = 1,
) -> Iterator[Recorder]:
    """Record the updates that ``optimizer`` makes while the block runs.

    The hook reads parameters after a step and writes only to its own buffers: training with and without it is
    bitwise equal.

    Args:
        model: the module whose parameters are watched.
        optimizer: the optimizer that moves them; one update is one of its steps (or ``every`` of them).
        parameters: ``"attention"``, a regular expression, a predicate ``(name, parameter) -> bool``, or a subset.
        window: W, updates kept.
        every: stride, optimizer steps per update.

    Raises:
        ValueError: nothing is selected, or window < 2, or every < 1.

    Memory: 4 (W + 1) D bytes. Cost a step: a copy of D floats; the spectrum is computed when asked for.

    >>> model = nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer, parameters="weight", window=2) as recorder:
    ...     for x in torch.eye(4)[:2]:
    ...         optimizer.zero_grad()
    ...         model(x).square().sum().backward()
    ...         _ = optimizer.step()
    >>> recorder.edge(center=False).singular_values.shape
    (2,)
    """
    subset = parameters if isinstance(parameters, ParameterSubset) else select_parameters(model, parameters)
    recorder = Recorder(subset, window, every)
    handle = optimizer.register_step_post_hook(recorder._after_step)
    try:
        yield recorder
    finally:
        handle.remove()
