"""What a recorder will take in memory, on disk and in time, said before it takes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch

from spectral_edge.parameters import Block, Shard
from spectral_edge.recording.storage import Storage
from spectral_edge.spectrum import CountSketch, gram_matrix

__all__ = ["Cost", "Plan", "available_memory", "refuse_if_above"]

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


@dataclass(frozen=True)
class Plan:
    """What is to be kept in one process.

    Attributes:
        dim: D.
        window: W.
        storage: how updates are kept.
        sketch_size: m.
        anchor_bytes: bytes of an entry of the parameters.
        live: whether the spectrum of each window is logged, which keeps three directions.
        in_directory: whether there is a run directory to keep them in.
        parts: of each update that are kept, too: its decay, the gradients of each source.
    """

    dim: int
    window: int
    storage: Storage
    sketch_size: int
    anchor_bytes: int
    live: bool
    in_directory: bool
    parts: int = 0

    def bytes(self) -> tuple[int, int]:
        """In memory, and in memory-mapped files."""
        anchor, rows = self.dim * self.anchor_bytes, self.window * self.dim
        match self.storage:
            case "float32":
                memory, disk = 4 * rows + anchor, 0
            case "bfloat16":
                memory, disk = 2 * rows + anchor, 0
            case "disk":
                memory, disk = anchor, 4 * rows
            case "sketch":
                memory, disk = 8 * (self.window + 2) * self.sketch_size, (4 * rows + anchor) * self.in_directory
        memory += (4 * rows + max(4, self.anchor_bytes) * self.dim) * self.parts
        directions = 3 * (8 * self.sketch_size if self.storage == "sketch" else 4 * self.dim) * self.live
        return (memory, disk + directions) if self.in_directory else (memory + directions, disk)

    def cost(self, device: torch.device) -> Cost:
        """Bytes exactly; time from a sample of at most 262 144 entries on the CPU, a few milliseconds."""
        memory, disk = self.bytes()
        if device.type != "cpu" or self.dim == 0:
            return Cost(memory, disk, None, None)
        return Cost(memory, disk, *self._timed())

    def _timed(self) -> tuple[float, float]:
        sample = min(self.dim, _SAMPLE)
        now, then = torch.zeros(sample), torch.zeros(sample)
        sketch = CountSketch(self.sketch_size, [Shard("sample", (sample,), (sample,), (0,))])

        def exact() -> None:
            torch.isfinite(now.sum())
            then.copy_(now - then)

        def sketched() -> None:
            sketch([Block(0, 0, slice(0, sample), now)])

        width = self.sketch_size if self.storage == "sketch" else self.dim
        rows = torch.zeros(self.window, min(width, sample))
        update = _seconds(sketched if self.storage == "sketch" else exact) * self.dim / sample
        return update, _seconds(lambda: gram_matrix(rows)) * width / rows.shape[1]


def _seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


def available_memory(device: torch.device) -> int | None:
    """Bytes that can be had now on the device, or ``None`` where that is not known; a container's limit counts."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    line = next((line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:")), None)
    free = [] if line is None else [1024 * int(line.split()[1])]
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        free.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(free, default=None)


def refuse_if_above(limit: int | None, plan: Plan) -> None:
    """Refuse a recorder that takes more memory than ``limit``, and say which settings would fit.

    Raises:
        MemoryError: above the limit.
    """
    needed = plan.bytes()[0]
    if limit is None or needed <= limit:
        return
    fits = []
    for storage in get_args(Storage):
        most = _largest_window(limit, replace(plan, storage=storage))
        if most >= plan.window:
            fits.append(f"storage={storage!r}")
        elif most >= 2:
            fits.append(f"storage={storage!r} with window={most}")
    raise MemoryError(
        f"watch: a window of {plan.window} updates of {plan.dim:,} parameters in {plan.storage} takes "
        f"{needed / _MIB:,.0f} MiB, above the limit of {limit / _MIB:,.0f} MiB. "
        f"What fits: {'; '.join(fits) or 'nothing'}; or select fewer parameters, or raise memory_limit (bytes)"
    )


def _largest_window(limit: int, plan: Plan) -> int:
    base, one = (replace(plan, window=window).bytes()[0] for window in (0, 1))
    if base > limit:
        return 0
    return (limit - base) // (one - base) if one > base else plan.window
