"""Which part of an update is weight decay: what a decoupled optimizer takes from parameters before each step."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset

__all__ = ["DecayPart"]

# Each multiplies parameters by 1 - ηλ before its step. Transformers' optimizer of the name Adafactor has another η.
_DECOUPLED = (torch.optim.AdamW, torch.optim.Adafactor, *([torch.optim.Muon] if hasattr(torch.optim, "Muon") else []))
_DECOUPLED_NAMES = ("AdamW", "Lion")  # of other packages: bitsandbytes' AdamW8bit, …


class DecayPart:
    """The sum over training steps of -ηλθ, η the learning rate and λ the decay of the moment, since last taken.

    Decoupled weight decay: a step is θ ← θ - ηλθ - η·(what gradients say), so that the update of a stride has two
    exact parts, this sum and the rest. Coupled decay (an L2 term in the gradient) has no such part.

    A context manager: leaving it removes the hooks.

    Args:
        optimizers: which move the parameters; their groups' rates are read before each step, so schedules are followed.
        parameters: whose decay, in the layout of its vector; those in no optimizer do not decay.

    Raises:
        ValueError: an optimizer couples weight decay to the gradient; names it.

    Degenerate: a step that an optimizer is told to skip from inside (a fused step with ``found_inf``) is counted.

    Cost: a pass over D numbers a step. Memory: D numbers.

    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    >>> before = layer.weight.detach().clone()
    >>> with DecayPart([optimizer], ParameterSubset(dict(layer.named_parameters()))) as decay:
    ...     layer.weight.grad = torch.zeros(1, 2)  # nothing but decay moves the weights
    ...     _ = optimizer.step()
    >>> torch.allclose(decay.take(), (layer.weight - before).detach().flatten())
    True
    """

    def __init__(self, optimizers: Iterable[Optimizer], parameters: ParameterSubset) -> None:
        optimizers = list(optimizers)
        for optimizer in optimizers:
            _check_decoupled(optimizer)
        self._parameters = parameters
        first = next(iter(parameters.parameters.values()))
        self._total = torch.zeros(
            parameters.dim, dtype=torch.promote_types(first.dtype, torch.float32), device=first.device
        )
        self._hooks = [
            optimizer.register_step_pre_hook(partial(self._add, _groups(optimizer, parameters)))
            for optimizer in optimizers
        ]

    def take(self) -> Tensor:
        """Return the sum (D,) and begin a new one."""
        taken, self._total = self._total, torch.zeros_like(self._total)
        return taken

    # Not traced: reading parameters is no part of a compiled step.
    @torch.compiler.disable
    @torch.no_grad()
    def _add(self, groups: dict[int, int], optimizer: Optimizer, *_: Any) -> None:
        for block in self._parameters.blocks():
            if block.number not in groups:
                continue
            group = optimizer.param_groups[groups[block.number]]
            rate = group["lr"] * group.get("weight_decay", 0.0)
            if isinstance(rate, Tensor):  # on an accelerator nobody waits for it
                self._total[block.columns].sub_(rate.to(self._total) * block.values)
            elif rate:
                self._total[block.columns].sub_(block.values.to(self._total.dtype), alpha=rate)

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> DecayPart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _groups(optimizer: Optimizer, parameters: ParameterSubset) -> dict[int, int]:
    """Number of a parameter in the subset -> number of its group in the optimizer."""
    held = {id(p): number for number, group in enumerate(optimizer.param_groups) for p in group["params"]}
    return {n: held[id(p)] for n, p in enumerate(parameters.parameters.values()) if id(p) in held}


def _check_decoupled(optimizer: Optimizer) -> None:
    if isinstance(optimizer, _DECOUPLED) or any(
        kind.__name__.startswith(_DECOUPLED_NAMES) for kind in type(optimizer).__mro__
    ):
        return
    for number, group in enumerate(optimizer.param_groups):
        if group.get("weight_decay", 0) and not group.get("decoupled_weight_decay", False):
            raise ValueError(
                f"{type(optimizer).__name__}: parameter group {number} has weight_decay = {group['weight_decay']}, "
                "which this optimizer adds to the gradient (coupled L2) or applies in a way that is not known here: an "
                "update has no part that is decay. Use AdamW, or another optimizer with decoupled decay, or do not ask "
                "for decay"
            )
