"""Looking at a model without leaving a trace: its buffers and the random numbers of whoever trains it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.modes.finishing import finish

__all__ = ["left_as_found"]


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Keep a model's buffers, tensors among its attributes, and the random states of PyTorch, NumPy and Python.

    A forward pass may draw random numbers, count its calls in a buffer, or leave what it saw in an attribute: inside a
    derivative that is a tensor which nothing can copy or save afterwards.
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the state is the user's
    kept = [_Kept(module) for module in model.modules()]

    def put_back() -> None:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)
        for module in kept:
            module.put_back()

    with torch.random.fork_rng({p.device.index for p in model.parameters() if p.device.type == "cuda"}):
        try:
            yield
        finally:
            finish(put_back)


class _Kept:
    """One module's buffers with their values, and which tensors its attributes are."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {name: value for name, value in vars(module).items() if _may_be_tensor(value)}
        self._buffers = dict(module._buffers)
        self._values = {name: b.detach().clone() for name, b in module._buffers.items() if b is not None}

    def put_back(self) -> None:
        attributes, buffers = vars(self._module), self._module._buffers
        for name in [name for name, value in attributes.items() if isinstance(value, Tensor)]:
            if name not in self._attributes:
                del attributes[name]
        attributes.update(self._attributes)
        for name in [name for name in buffers if name not in self._buffers]:
            del buffers[name]
        buffers.update(self._buffers)
        for name, before in self._values.items():
            buffer = self._buffers[name]
            assert buffer is not None
            if buffer.layout != torch.strided or not torch.equal(buffer, before):
                buffer.data.copy_(before)  # only where it changed: a copy spoils a backward pass that needs the buffer


def _may_be_tensor(value: object) -> bool:
    return value is None or isinstance(value, Tensor)
