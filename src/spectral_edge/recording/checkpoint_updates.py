"""Updates between checkpoints on disk: their Gram matrix, and their directions, with a piece of each in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectral_edge.parameters import ParameterSubset, Selector, select_names, select_parameters, unwrap_model
from spectral_edge.recording.checkpoints import StoredCheckpoint, check_steps
from spectral_edge.store import RunCorruptError

__all__ = ["CheckpointUpdates"]

logger = logging.getLogger("spectral_edge")

# float64 numbers of all checkpoints together that are in memory at once: 32 MB.
_HELD = 1 << 22


@dataclass(frozen=True, eq=False)
class CheckpointUpdates:
    """Updates between neighbouring checkpoints, (N - 1, D); the :class:`~spectral_edge.spectrum.Rows` of an edge.

    Attributes:
        checkpoints: N of them, in the order of their steps.
        names: what each parameter is called in the files, by its name in the model, in layout order.
        model: class of the model, or what the names were taken from.
        rates: steps are uneven, so each update is divided by the training steps that it took.
    """

    checkpoints: tuple[StoredCheckpoint, ...]
    names: Mapping[str, str] = field(repr=False)
    model: str
    rates: bool

    @classmethod
    def of(
        cls,
        checkpoints: Sequence[StoredCheckpoint],
        parameters: Selector | ParameterSubset,
        model: nn.Module | None,
    ) -> CheckpointUpdates:
        """Find the parameters in every checkpoint.

        Raises:
            ValueError: nothing is selected, or a checkpoint lacks a parameter or has it in another shape.
        """
        first = checkpoints[0]
        if isinstance(parameters, ParameterSubset):
            wanted, prefix, owner = parameters.names, "", "parameters that were given"
        elif (built := model if model is not None else _model_of(first.place)) is not None:
            built = unwrap_model(built)
            wanted, prefix = select_parameters(built, parameters).names, getattr(built, "base_model_prefix", "")
            owner = type(built).__name__
        else:
            wanted, prefix, owner = select_names(first.shapes, parameters), "", "names in the files"
        names = {name: _stored_name(name, prefix, first) for name in wanted}
        found = cls(tuple(checkpoints), names, owner, check_steps(checkpoints))
        for other in checkpoints[1:]:
            found._check(other)
        return found

    def _check(self, other: StoredCheckpoint) -> None:
        first = self.checkpoints[0]
        for name in self.names.values():
            if other.shapes.get(name) != first.shapes[name]:
                there = other.shapes.get(name, "missing")
                raise ValueError(
                    f"{other.place}: {name!r} is {there}, but {first.shapes[name]} in {first.place}. Checkpoints must "
                    "be of one model, with adapters merged in all of them or in none; leave this one out, or choose "
                    "other parameters."
                )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, in layout order."""
        return {name: self.checkpoints[0].shapes[stored] for name, stored in self.names.items()}

    @property
    def dim(self) -> int:
        """D."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    @property
    def dtype(self) -> torch.dtype:
        """Of directions; differences are taken in float64."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Checkpoints are read on the host."""
        return torch.device("cpu")

    @property
    def block(self) -> int:
        """Columns read at once, so that all checkpoints together take 32 MB."""
        return max(1, _HELD // len(self.checkpoints))

    def between(self, first: int, last: int) -> CheckpointUpdates:
        """The updates ``first`` to ``last - 1``."""
        return replace(self, checkpoints=self.checkpoints[first : last + 1])

    def read(self, columns: slice) -> list[Tensor]:
        """Some columns of the updates, (N - 1, n) float64.

        Raises:
            StoreError: a file is damaged, or holds numbers that are not finite.
        """
        pieces = self._pieces(*columns.indices(self.dim)[:2])
        weights = torch.stack([self._finite(checkpoint, pieces) for checkpoint in self.checkpoints])
        moved = weights[1:] - weights[:-1]
        return [moved / self._took()[:, None] if self.rates else moved]

    def gram_matrix(self) -> Tensor:
        """G_ij = ⟨update_i, update_j⟩ of all updates, (N - 1, N - 1) float64; N² D multiply-adds.

        Raises:
            StoreError: as :meth:`read`.
        """
        n = len(self.checkpoints) - 1
        gram = torch.zeros(n, n, dtype=torch.float64)
        for start in range(0, self.dim, self.block):
            (moved,) = self.read(slice(start, start + self.block))
            gram.addmm_(moved, moved.T)
        return gram

    def displacement(self) -> Tensor:
        """The weights of the last checkpoint minus those of the first, (D,) float32, also where updates are rates."""
        ends = replace(self, checkpoints=(self.checkpoints[0], self.checkpoints[-1]), rates=False)
        blocks = range(0, self.dim, ends.block)
        return torch.cat([ends.read(slice(start, start + ends.block))[0][0].float() for start in blocks])

    def _took(self) -> Tensor:
        return torch.tensor([float(b.step - a.step) for a, b in pairwise(self.checkpoints)], dtype=torch.float64)

    def _pieces(self, start: int, stop: int) -> list[tuple[str, int, int]]:
        """Which entries of which stored tensors are the columns ``start`` to ``stop - 1``."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        begins = [0, *accumulate(sizes)]
        return [
            (name, max(start - begin, 0), min(stop - begin, size))
            for name, begin, size in zip(self.names.values(), begins, sizes, strict=False)
            if begin < stop and begin + size > start
        ]

    def _finite(self, checkpoint: StoredCheckpoint, pieces: Sequence[tuple[str, int, int]]) -> Tensor:
        values = checkpoint.read(pieces)
        if not torch.isfinite(values).all():
            names = ", ".join(name for name, *_ in pieces[:3])
            raise RunCorruptError(f"{checkpoint.place}: {names} holds NaN or infinity. Leave this checkpoint out.")
        return values


def _stored_name(name: str, prefix: str, first: StoredCheckpoint) -> str:
    """What a parameter is called in the files: a base model may be stored without the prefix it has below a head."""
    for candidate in (name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}"):
        if candidate in first.shapes:
            return candidate
    shown = ", ".join(list(first.shapes)[:8])
    raise ValueError(
        f"{first.place}: has no tensor {name!r}; it has {shown}{', …' * (len(first.shapes) > 8)}. Choose parameters by "
        "these names, or pass the model that it is of."
    )


def _model_of(place: Path) -> nn.Module | None:
    """The model without weights that a Transformers checkpoint's ``config.json`` describes; ``None`` if it has none."""
    if not (place / "config.json").is_file():
        return None
    try:
        import transformers

        # Code that a checkpoint brings is not run.
        config: Any = transformers.AutoConfig.from_pretrained(place, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return getattr(transformers, config.architectures[0])(config)
    except Exception as problem:
        logger.warning("spectral-edge: %s does not describe a model (%s); parameters are taken by name", place, problem)
        return None
