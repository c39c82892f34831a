"""What a recorder will take in memory, on disk and in time, said before it takes it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from spectral_edge.recording.storage import Storage

__all__ = ["Cost", "available_memory", "estimate_cost", "refuse_if_above"]

_SAMPLE = 1 << 18
_MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """Of one process.

    Attributes:
        memory: bytes, window and anchor (and the last directions, for live values without a directory).
        disk: bytes of memory-mapped files in the run directory.
        update_seconds: one recorded update, or ``None`` on an accelerator, where it is not timed.
        spectrum_seconds: one spectrum of a window of new updates, or ``None``.
    """

    memory: int
    disk: int
    update_seconds: float | None
    spectrum_seconds: float | None

    def __str__(self) -> str:
        parts = [f"{self.memory / _MIB:,.1f} MiB of memory"]
        if self.disk:
            parts.append(f"{self.disk / _MIB:,.1f} MiB on disk")
        if self.update_seconds is not None and self.spectrum_seconds is not None:
            parts.append(f"about {1e3 * self.update_seconds:.2g} ms a recorded update")
            parts.append(f"{1e3 * self.spectrum_seconds:.2g} ms a spectrum")
        return ", ".join(parts)


def estimate_cost(
    dim: int,
    window: int,
    storage: Storage,
    *,
    sketch_size: int,
    anchor_bytes: int,
    live: bool,
    in_directory: bool,
    device: torch.device,
) -> Cost:
    """Count bytes exactly, and time the work on a sample of at most 262 144 entries on the CPU, a few milliseconds.

    Args:
        dim: D.
        window: W.
        storage: how updates are kept.
        sketch_size: m.
        anchor_bytes: bytes of an entry of the parameters.
        live: whether the spectrum of each window is logged, which keeps three directions.
        in_directory: whether there is a run directory to keep them in.
        device: where the parameters are.
    """
    memory, disk = _bytes(dim, window, storage, sketch_size, anchor_bytes, in_directory)
    if live:
        directions = 3 * (8 * sketch_size if storage == "sketch" else 4 * dim)
        memory, disk = (memory, disk + directions) if in_directory else (memory + directions, disk)
    if device.type != "cpu" or dim == 0:
        return Cost(memory, disk, None, None)
    update, spectrum = _timed(dim, window, storage, sketch_size)
    return Cost(memory, disk, update, spectrum)


def _bytes(
    dim: int, window: int, storage: Storage, sketch_size: int, anchor_bytes: int, in_directory: bool
) -> tuple[int, int]:
    anchor = dim * anchor_bytes
    rows = window * dim
    match storage:
        case "float32":
            return 4 * rows + anchor, 0
        case "bfloat16":
            return 2 * rows + anchor, 0
        case "disk":
            return anchor, 4 * rows
        case "sketch":
            return 8 * (window + 2) * sketch_size, (4 * rows + anchor) if in_directory else 0


def _timed(dim: int, window: int, storage: Storage, sketch_size: int) -> tuple[float, float]:
    from spectral_edge.parameters import Block, Shard
    from spectral_edge.spectrum import CountSketch, gram_matrix

    sample = min(dim, _SAMPLE)
    now, then = torch.zeros(sample), torch.zeros(sample)
    sketch = CountSketch(sketch_size, [Shard("sample", (sample,), (sample,), (0,))]) if storage == "sketch" else None

    def update() -> None:
        if sketch is not None:
            sketch([Block(0, 0, slice(0, sample), now)])
        else:
            torch.isfinite(now.sum())
            then.copy_(now - then)

    width = sketch_size if sketch is not None else sample
    rows = torch.zeros(window, min(width, sample))
    whole = sketch_size if sketch is not None else dim
    return _seconds(update) * dim / sample, _seconds(lambda: gram_matrix(rows)) * whole / rows.shape[1]


def _seconds(work: object, rounds: int = 3) -> float:
    assert callable(work)
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


def available_memory(device: torch.device) -> int | None:
    """Bytes that can be had now on the device, or ``None`` where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    line = next((line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:")), None)
    return None if line is None else 1024 * int(line.split()[1])


def refuse_if_above(
    limit: int | None, cost: Cost, dim: int, window: int, storage: Storage, sketch_size: int, anchor_bytes: int
) -> None:
    """Refuse a recorder that takes more memory than ``limit``, and say which settings would fit.

    Raises:
        MemoryError: above the limit.
    """
    if limit is None or cost.memory <= limit:
        return
    fits = []
    for other in ("float32", "bfloat16", "disk", "sketch"):
        most = _largest_window(limit, dim, other, sketch_size, anchor_bytes)
        if most >= window and other != storage:
            fits.append(f"storage={other!r}")
        elif 2 <= most < window:
            fits.append(f"storage={other!r} with window={most}")
    raise MemoryError(
        f"watch: a window of {window} updates of {dim:,} parameters in {storage} takes {cost.memory / _MIB:,.0f} MiB, "
        f"above the limit of {limit / _MIB:,.0f} MiB. What fits: {'; '.join(fits) or 'nothing'}; or select fewer "
        "parameters, or raise memory_limit (bytes)"
    )


def _largest_window(limit: int, dim: int, storage: Storage, sketch_size: int, anchor_bytes: int) -> int:
    base = _bytes(dim, 0, storage, sketch_size, anchor_bytes, False)[0]
    each = _bytes(dim, 1, storage, sketch_size, anchor_bytes, False)[0] - base
    if base > limit:
        return 0
    return (limit - base) // each if each else 10**6
