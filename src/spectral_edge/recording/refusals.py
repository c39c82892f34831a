"""What cannot be recorded, said before it begins, and to whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_edge.parameters import Adapter, ParameterSubset
from spectral_edge.recording.decay import check_decoupled

__all__ = [
    "check_adapters",
    "check_decay",
    "check_modes",
    "check_notes",
    "check_settings",
    "check_sources",
    "checked_update",
    "refuse_unreadable",
]


def check_settings(
    window: int, every: int, storage: str, sketch_size: int, run_dir: Path | str | None, keep_updates: bool
) -> None:
    """Refuse numbers out of range, and storage without a directory."""
    for name, number in (("window", window), ("every", every), ("sketch_size", sketch_size)):
        if not isinstance(number, int):
            raise ValueError(f"watch: {name} = {number!r} is not a whole number")
    if every < 1:
        raise ValueError(f"watch: every = {every}; it counts training steps and must be at least 1")
    if window < 2:
        raise ValueError(f"watch: window = {window}, but a spectrum needs at least 2 updates")
    if storage not in ("float32", "bfloat16", "disk", "sketch"):
        raise ValueError(f"watch: storage = {storage!r}; choose 'float32', 'bfloat16', 'disk' or 'sketch'")
    if storage == "sketch" and (sketch_size < 2 or sketch_size & (sketch_size - 1)):
        raise ValueError(
            f"watch: sketch_size = {sketch_size} is not a power of two; 4096 keeps gap ratios within 1.6 %"
        )
    if run_dir is None and (storage == "disk" or keep_updates):
        what = "storage='disk'" if storage == "disk" else "keep_updates=True"
        raise ValueError(f"watch: {what} needs a directory to write to; give run_dir")


def check_adapters(
    adapters: Sequence[Adapter], storage: str, keep_updates: bool, parts: bool, optimizers: list[Optimizer]
) -> None:
    """Refuse adapters with what is kept of full matrices only."""
    if not adapters:
        return
    if storage != "float32" or keep_updates or parts:
        raise ValueError(
            "watch: parameters='lora' keeps the factors of adapters in memory; leave out storage, keep_updates, decay "
            "and sources. Adapters that you save can be read again: Recording.from_checkpoints(…, parameters='lora')"
        )
    if not optimizers:
        raise ValueError("watch: parameters='lora' reads the factors of adapters, and no optimizer moves them")


def check_decay(decay: bool, storage: str, optimizers: list[Optimizer]) -> None:
    """Refuse to tell weight decay apart where that cannot be done."""
    if decay and storage not in ("float32", "bfloat16"):
        raise ValueError(f"watch: decay=True keeps two windows in memory, and storage is {storage!r}; use 'float32'")
    if decay and not optimizers:
        raise ValueError("watch: decay=True reads learning rate and decay of an optimizer, and none was given")
    for optimizer in optimizers if decay else ():
        check_decoupled(optimizer)


def check_sources(model: nn.Module, sources: Sequence[str], storage: str, optimizers: list[Optimizer]) -> None:
    """Refuse to keep gradients of sources apart where that cannot be done."""
    if isinstance(sources, str) or len(set(sources)) < len(sources) or not all(sources):
        raise ValueError(f"watch: sources = {sources!r}; give different names, such as ('prose', 'code')")
    if sources and storage not in ("float32", "bfloat16"):
        raise ValueError(f"watch: sources keep a window each in memory, and storage is {storage!r}; use 'float32'")
    if sources and not optimizers:
        raise ValueError("watch: gradients of sources are kept beside updates of an optimizer, and none was given")
    if sources and any(getattr(parameter, "_in_backward_optimizers", None) for parameter in model.parameters()):
        raise ValueError("watch: an optimizer steps inside the backward pass, where sources are not told apart")


def refuse_unreadable(model: nn.Module, given: Any, optimizers: list[Optimizer]) -> None:
    """Refuse frameworks that keep parameters in partitions without names."""
    if not optimizers:
        return
    kinds = {kind for part in (*model.modules(), *_layers(given), *optimizers) for kind in type(part).__mro__}
    fsdp1 = any(kind.__name__ == "FullyShardedDataParallel" for kind in kinds)
    deepspeed = any(kind.__name__.startswith("DeepSpeed") or kind.__module__.startswith("deepspeed.") for kind in kinds)
    megatron = any(getattr(parameter, "tensor_model_parallel", False) for parameter in model.parameters())
    if fsdp1 or deepspeed or megatron or any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        what = (
            "FSDP1 (FullyShardedDataParallel)"
            if fsdp1
            else "Megatron's tensor parallelism"
            if megatron
            else "DeepSpeed"
        )
        raise ValueError(
            f"watch: {what} keeps parameters in partitions that cannot be read by name. Use FSDP2 (fully_shard), or "
            "measure each update yourself: recorder = watch(model, None, …), then recorder.update(delta)"
        )


def _layers(optimizer: Any) -> Iterator[Any]:
    """A wrapper around an optimizer, what it wraps, and so on."""
    for one in optimizer if isinstance(optimizer, list | tuple) else [optimizer]:
        while one is not None:
            yield one
            one = getattr(one, "optimizer", None)


def check_modes(k: int, window: int, has_folder: bool, sharded: bool) -> None:
    """Refuse to keep modes that there are not, or that have no place."""
    if k > window:
        raise ValueError(f"Recorder.keep_modes: k = {k} directions of a window of {window} updates")
    if not has_folder:
        raise ValueError("Recorder.keep_modes: modes are kept on disk; give watch a run_dir")
    if sharded:
        raise ValueError(
            "Recorder.keep_modes: parameters are sharded, and nothing is gathered inside a training step; call "
            "se.functional_modes with recorder.edge().directions(k) where you evaluate"
        )


def check_notes(values: Mapping[str, float | Tensor]) -> None:
    """Refuse a tensor of several numbers."""
    for name, value in values.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"Recorder.note: {name} is a tensor of shape {tuple(value.shape)}; give its mean")


def checked_update(delta: Tensor | Mapping[str, Tensor], parameters: ParameterSubset) -> Tensor:
    """An update (D,) that was measured elsewhere, if it is one."""
    if isinstance(delta, Mapping) and set(delta) == set(parameters.names):
        delta = parameters.flatten(delta)
    if not isinstance(delta, Tensor):
        given = f"has {sorted(delta)}" if isinstance(delta, Mapping) else f"is a {type(delta).__name__}"
        raise ValueError(f"Recorder.update: delta {given}; give a tensor (D,), or one of each of {parameters.names}")
    vector = delta.detach()
    if vector.shape != (parameters.dim,):
        raise ValueError(
            f"Recorder.update: delta has shape {tuple(vector.shape)}, but these parameters need ({parameters.dim},)"
        )
    if not torch.isfinite(vector).all() or not vector.any():
        raise ValueError("Recorder.update: delta is not finite or exactly zero; skip this step")
    return vector
