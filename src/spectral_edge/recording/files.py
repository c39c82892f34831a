"""Memory-mapped tensors in a run directory."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from spectral_edge.store import StoreError, open_file, reserve

__all__ = ["mapped_tensor"]


def mapped_tensor(path: Path, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor in a file, made or overwritten, whose pages the system may write out and drop.

    The room on disk is reserved first: writing to a mapped page that has none kills the process.

    Raises:
        StoreError: the disk is full, or the path cannot be written or is a symbolic link.
    """
    size = torch.Size(shape).numel()
    if size == 0:
        return torch.empty(shape, dtype=dtype)
    try:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            reserve(descriptor, size * dtype.itemsize)
        finally:
            os.close(descriptor)
    except OSError as cause:
        raise StoreError(
            f"{path}: {size * dtype.itemsize:,} bytes cannot be kept here: {cause.strerror}. Free some space, or "
            "choose another run_dir or storage."
        ) from cause
    return torch.from_file(str(path), shared=True, size=size, dtype=dtype).view(shape)
