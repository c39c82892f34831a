"""Adapters that PEFT has saved: updates of their products between checkpoints, from factors alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from spectral_edge.parameters import by_numbers
from spectral_edge.recording.checkpoints import StoredCheckpoint, check_steps
from spectral_edge.spectrum import Factors, LowRankUpdates
from spectral_edge.store import RunCorruptError, RunMissingError, decode_json, read_file

__all__ = ["CheckpointAdapters"]

_RIGHT = re.compile(r"^(?:base_model\.model\.)?(.+)\.lora_A\.(?:[^.]+\.)?weight$")


@dataclass(frozen=True, eq=False)
class CheckpointAdapters:
    """Updates of s B A between neighbouring checkpoints of adapters, in the layout of the base weights.

    Attributes:
        checkpoints: N of them, in the order of their steps.
        snapshots: the factors of each, in memory: r (m + n) numbers a layer.
        names: of the base weights that they are added to, in layout order.
        rates: steps are uneven, so each update is divided by the training steps that it took.
        model: adapters do not say which class the model below them has.
    """

    checkpoints: tuple[StoredCheckpoint, ...]
    snapshots: tuple[tuple[Factors, ...], ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    rates: bool
    model: str = "adapters"

    @classmethod
    def of(cls, checkpoints: Sequence[StoredCheckpoint]) -> CheckpointAdapters:
        """Read the factors of every checkpoint.

        Raises:
            ValueError: checkpoints have adapters of other layers or shapes.
            StoreError: one has no adapters, or no ``adapter_config.json``, or adapters that are no products.
        """
        read = [_factors(checkpoint) for checkpoint in checkpoints]
        first = read[0]
        for checkpoint, found in zip(checkpoints, read, strict=True):
            for name in dict.fromkeys([*first, *found]):
                if name not in found or name not in first or found[name].shape != first[name].shape:
                    there = found[name].shape if name in found else "missing"
                    raise ValueError(
                        f"{checkpoint.place}: the adapter of {name!r} is {there}, and in {checkpoints[0].place} "
                        f"{first[name].shape if name in first else 'missing'}. Checkpoints must adapt the same layers."
                    )
        snapshots = tuple(tuple(found[name] for name in first) for found in read)
        names = tuple(f"{name}.base_layer.weight" for name in first)  # as a model with adapters calls them
        return cls(tuple(checkpoints), snapshots, names, check_steps(checkpoints))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each base weight, in layout order."""
        return {name: f.shape for name, f in zip(self.names, self.snapshots[0], strict=True)}

    @property
    def dim(self) -> int:
        """D."""
        return self._updates.dim

    @cached_property
    def _updates(self) -> LowRankUpdates:
        took = tuple(float(b.step - a.step) for a, b in pairwise(self.checkpoints))
        return LowRankUpdates(self.snapshots, took if self.rates else ())

    def between(self, first: int, last: int) -> LowRankUpdates:
        """The updates ``first`` to ``last - 1``."""
        return self._updates.between(first, last)

    def gram_matrix(self) -> Tensor:
        """G_ij = ⟨ΔW_i, ΔW_j⟩ of all updates, (N - 1, N - 1) float64."""
        return self._updates.gram_matrix()


def _factors(checkpoint: StoredCheckpoint) -> dict[str, Factors]:
    """Name of the adapted module -> factors, in the order of the names."""
    found = {match.group(1): name for name in checkpoint.files if (match := _RIGHT.match(name))}
    if not found:
        raise RunMissingError(
            f"{checkpoint.place}: has no LoRA adapters (tensors named lora_A and lora_B). Choose other parameters."
        )
    config = _config(checkpoint.place)
    factors = {}
    for module in sorted(found, key=by_numbers):
        names = found[module], found[module].replace(".lora_A.", ".lora_B.")
        if names[1] not in checkpoint.shapes:
            raise RunCorruptError(f"{checkpoint.place}: {names[1]} is missing beside {names[0]}.")
        right, left = (checkpoint.read_whole(name) for name in names)
        rank = right.shape[0]
        root = rank**0.5 if config.get("use_rslora") else rank
        scale = float(config["lora_alpha"]) / root
        factors[module] = Factors(left, right, scale, bool(config.get("fan_in_fan_out", False)))
    return factors


def _config(place: Path) -> dict[str, Any]:
    path = place / "adapter_config.json"
    if not path.is_file():
        raise RunMissingError(f"{place}: has no adapter_config.json, which says how adapters are scaled.")
    config = decode_json(read_file(path), str(path))
    if not isinstance(config, dict) or not isinstance(config.get("lora_alpha"), int | float):
        raise RunCorruptError(f"{path}: has no number lora_alpha. Restore it from a copy.")
    for name in ("use_dora", "alpha_pattern", "rank_pattern"):
        if config.get(name):
            raise RunMissingError(
                f"{path}: {name} is set; adapters that scale the base weight, or differ in scale by layer, are not "
                "read from disk. Record while training: watch(model, optimizer, parameters='lora')."
            )
    return config
