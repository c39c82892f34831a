"""Looking at a model without leaving a trace: its buffers and the random numbers of whoever trains it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from spectral_edge.modes.finishing import finish

__all__ = ["left_as_found"]


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Keep a model's buffers and the random states of PyTorch, NumPy and Python while the block runs.

    A forward pass may draw random numbers, or count its calls in a buffer.
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the state is the user's
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]

    def put_back() -> None:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)
        for module, name, buffer, before in buffers:
            setattr(module, name, buffer)  # a forward pass may have put another one in its place
            if not torch.equal(buffer, before):  # a copy would spoil a backward pass that needs the buffer
                buffer.data.copy_(before)

    with torch.random.fork_rng({p.device.index for p in model.parameters() if p.device.type == "cuda"}):
        try:
            yield
        finally:
            finish(put_back)
