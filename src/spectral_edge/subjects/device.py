"""Where matrix products are computed."""

from __future__ import annotations

from typing import Literal

import torch

__all__ = ["Device", "TrainingDevice", "check_device"]

Device = Literal["cpu", "cuda", "mps"]
TrainingDevice = Literal["cpu", "cuda"]
"""Not mps, which has no float64: Gram matrices of recorded updates need it."""


def check_device(device: Device) -> None:
    """Do nothing if this machine has the device.

    Raises:
        ValueError: it has not; names those that it has.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        found = ", ".join(name for name, available in there.items() if available)
        raise ValueError(f"device {device}: this machine, or this build of torch, has none; choose {found}")
