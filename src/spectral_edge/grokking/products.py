"""Matrix products whose bits do not depend on who made the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

__all__ = ["one_thread", "product"]

_OF_NUMPY = (torch.float32, torch.float64)


def product(x: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """x_s y_s for s = 1 … S: (S, m, k) and (S, k, n) to (S, m, n), by NumPy's BLAS where one thread of a CPU computes.

    PyTorch's own products on x86-64 are those of MKL, which takes another order of sums on processors of another maker.
    NumPy's are those of OpenBLAS, whose code can be named (:mod:`spectral_edge.arithmetic`), and are as fast. Each s is
    a product of its own, so its bits do not depend on S. They do on OpenBLAS's threads: call within :func:`one_thread`.

    Args:
        x: (S, m, k), may be a transposed view.
        y: (S, k, n), likewise, of the same type and device; neither needs a gradient.
        out: (S, m, n) to write to.
    """
    if x.device.type != "cpu" or x.dtype not in _OF_NUMPY or torch.get_num_threads() > 1:
        return torch.bmm(x, y) if out is None else out.copy_(torch.bmm(x, y))
    if out is None:
        out = x.new_empty(x.shape[0], x.shape[1], y.shape[2])
    np.matmul(x.numpy(), y.numpy(), out=out.numpy())
    return out


@contextmanager
def one_thread() -> Iterator[None]:
    """While it is open, NumPy's products use one thread, and say as little of infinities as PyTorch's; 20 µs."""
    with _openblas().limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
        yield


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")
