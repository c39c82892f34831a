"""Looking at a model without leaving a trace: its buffers and the random numbers of whoever trains it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.modes.finishing import finish

__all__ = ["left_as_found", "same_random_numbers"]

_PLAIN = (Tensor, bool, int, float, str, type(None))


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Keep a model's buffers and the random states of PyTorch, NumPy and Python while the block runs.

    A forward pass may draw random numbers, count its calls in a buffer, or keep a tensor in an attribute: inside a
    derivative that is one which nothing can copy or save afterwards. A module that did gets its tensors, numbers, flags
    and names back as they were.
    """
    kept = [_Kept(module) for module in model.modules()]

    def put_back() -> None:
        for module in kept:
            module.put_back()

    with same_random_numbers(model):
        try:
            yield
        finally:
            finish(put_back)


@contextmanager
def same_random_numbers(model: nn.Module) -> Iterator[None]:
    """Keep the random states of PyTorch, NumPy and Python, so that the next block draws the same numbers."""
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the state is the user's

    def put_back() -> None:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)

    with torch.random.fork_rng({p.device.index for p in model.parameters() if p.device.type == "cuda"}):
        try:
            yield
        finally:
            finish(put_back)


class _Kept:
    """One module's buffers with their values, and its attributes that are tensors or plain values."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._buffers = module, dict(module._buffers)
        self._values = {name: (b, b.detach().clone()) for name, b in self._buffers.items() if b is not None}
        self._attributes = self._plain_attributes()
        self._remade = False

    def put_back(self) -> None:
        self._put_back_attributes()
        for name, (buffer, before) in self._values.items():
            self._module._buffers[name] = buffer  # a forward pass may have put another one in its place
            if buffer.shape != before.shape:
                buffer.data = before
            elif buffer.layout != torch.strided or not torch.equal(buffer, before):
                buffer.data.copy_(before)  # only where it changed: a copy spoils a backward pass that needs the buffer

    def _put_back_attributes(self) -> None:
        """All of them if a tensor is another one: a flag or a length that tells of it goes back with it, or none."""
        module, now = self._module, self._plain_attributes()
        tensors = {name: value for name, value in now.items() if isinstance(value, Tensor)}
        # Kept, so that an interrupted beginning is brought to its end.
        self._remade |= any(value is not self._attributes.get(name) for name, value in tensors.items())
        self._remade |= any(buffer is not self._buffers.get(name) for name, buffer in module._buffers.items())
        if not self._remade:
            return
        for name in now.keys() - self._attributes.keys():
            del vars(module)[name]
        for name in module._buffers.keys() - self._buffers.keys():
            del module._buffers[name]
        module._buffers.update(self._buffers)
        elsewhere = {*module._parameters, *module._buffers, *module._modules}
        vars(module).update({name: value for name, value in self._attributes.items() if name not in elsewhere})

    def _plain_attributes(self) -> dict[str, Any]:
        attributes = vars(self._module).items()
        return {name: value for name, value in attributes if name != "training" and isinstance(value, _PLAIN)}
