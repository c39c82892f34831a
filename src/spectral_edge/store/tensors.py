"""Named tensors and arrays to safetensors bytes and back. Nothing here, or anywhere, unpickles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from spectral_edge.store.errors import RunCorruptError, StoreError
from spectral_edge.store.files import read_file

__all__ = ["decode_arrays", "decode_tensors", "encode_arrays", "encode_tensors", "read_verified"]

Decoded = TypeVar("Decoded")

_PICKLE_STARTS = (b"\x80", b"PK\x03\x04")  # a pickle of protocol 2 or later; the zip archive of torch.save
_DAMAGED = "Restore it from a copy, or make the run again"


def encode_tensors(tensors: Mapping[str, Tensor], path: Path) -> bytes:
    """Encode named tensors: equal names and values give equal bytes, whatever their order or device.

    Args:
        tensors: dense tensors under any name but ``__metadata__``; views and tied tensors are written whole.
        path: the file they are meant for; only named in the error.

    Returns:
        The bytes of a safetensors file.

    Raises:
        StoreError: an entry is no dense tensor (sparse, on the meta device, not a tensor at all).

    Cost:
        Twice the size of the tensors: safetensors refuses shared memory, so each is copied.
    """
    _check_names(tensors, path)
    plain = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise StoreError(f"{path}: '{name}' is not a dense tensor but {_described(tensor)}. Leave it out.")
        plain[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    try:
        return safetensors.torch.save(plain)
    except (SafetensorError, ValueError, KeyError) as cause:
        raise StoreError(f"{path}: safetensors cannot hold these tensors: {cause}. Convert them first.") from cause


def encode_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> bytes:
    """Encode named arrays, as `encode_tensors` does tensors.

    Args:
        arrays: boolean or real arrays, of any shape (also 0-d and empty).
        path: the file they are meant for; only named in the error.

    Returns:
        The bytes of a safetensors file.

    Raises:
        StoreError: an array holds strings, objects, or another type that safetensors lacks.
    """
    _check_names(arrays, path)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise StoreError(
                f"{path}: '{name}' is not a boolean or real array but {_described(array)}. Convert it first."
            )
    # Not ascontiguousarray, which would turn a 0-d array into one of shape (1,).
    plain = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    try:
        return safetensors.numpy.save(plain)
    except (SafetensorError, ValueError, KeyError) as cause:
        raise StoreError(f"{path}: safetensors cannot hold these arrays: {cause}. Convert them first.") from cause


def decode_tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    """Decode safetensors bytes into tensors on the CPU.

    Raises:
        RunCorruptError: ``data``, the untrusted content of ``path``, is not safetensors.
    """
    return _decoded(safetensors.torch.load, data, path)


def decode_arrays(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """Decode safetensors bytes into arrays.

    Raises:
        RunCorruptError: ``data``, the untrusted content of ``path``, is not safetensors.
    """
    return _decoded(safetensors.numpy.load, data, path)


def read_verified(path: Path, size: int, sha256: str) -> bytes:
    """Read a file that must hold exactly the bytes an index names.

    Args:
        path: the file.
        size: its length in bytes; checked before reading, so a wrong file costs no memory.
        sha256: hexadecimal digest of its content.

    Returns:
        The content.

    Raises:
        RunCorruptError: the file is missing, or its size or digest differs.
    """
    if path.is_file() and (found := path.stat().st_size) != size:
        raise RunCorruptError(
            f"{path}: {found} bytes where {size} were committed: truncated or overwritten. {_DAMAGED}."
        )
    data = read_file(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunCorruptError(f"{path}: its bytes differ from those committed (SHA-256 {sha256[:12]}…). {_DAMAGED}.")
    return data


def _check_names(entries: Mapping[str, object], path: Path) -> None:
    for name in entries:
        if not isinstance(name, str) or name == "__metadata__":
            raise StoreError(f"{path}: {name!r} cannot name a tensor in safetensors. Rename it.")


def _decoded(load: Callable[[bytes], Decoded], data: bytes, path: Path) -> Decoded:
    try:
        return load(data)
    except Exception as cause:  # untrusted bytes: safetensors documents no complete list of what it raises
        kind = "a pickle or a torch.save archive" if data.startswith(_PICKLE_STARTS) else "not safetensors"
        raise RunCorruptError(
            f"{path}: {kind} ({cause}). Only safetensors is read, nothing is ever unpickled. {_DAMAGED}."
        ) from cause


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {value.layout} tensor on {value.device}"
    return f"of dtype {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
