"""Which part of an update is weight decay: what a decoupled optimizer takes from parameters before each step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset
from spectral_edge.recording.parts import RunningSum
from spectral_edge.recording.steps import outermost

__all__ = ["DecayPart", "check_decoupled"]

# Each multiplies parameters by 1 - ηλ before its step. Transformers' optimizer of the name Adafactor has another η.
_DECOUPLED = (torch.optim.AdamW, torch.optim.Adafactor, *([torch.optim.Muon] if hasattr(torch.optim, "Muon") else []))
_BITSANDBYTES = ("AdamW8bit", "AdamW32bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit")

Guard = Callable[[Callable[[], None]], None]
Held = dict[int, tuple[int, Tensor]]


class DecayPart(RunningSum):
    """The sum over training steps of -ηλθ, η the learning rate and λ the decay of the moment, since last taken.

    Decoupled weight decay: a step is θ ← θ - ηλθ - η·(what gradients say), so that the update of a stride has two
    exact parts, this sum and the rest. Coupled decay (an L2 term in the gradient) has no such part.

    A context manager: inside, every step counts; leaving it removes the hooks.

    Args:
        optimizers: which move the parameters; their groups' rates are read before each step, so schedules are followed.
            A parameter without a gradient is skipped by its optimizer, and so here; a fused step that a gradient scaler
            has skipped, too.
        parameters: whose decay, in the layout of its vector; those in no optimizer do not decay.
        holders: what the optimizers hold, where ``parameters`` are their float32 masters; the same order.
        guard: runs what a hook does, and may catch what that raises; without one it reaches the training loop.

    Raises:
        ValueError: an optimizer couples weight decay to the gradient; names it.

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

    def __init__(
        self,
        optimizers: Iterable[Optimizer],
        parameters: ParameterSubset,
        holders: ParameterSubset | None = None,
        guard: Guard | None = None,
    ) -> None:
        optimizers = list(optimizers)
        for optimizer in optimizers:
            check_decoupled(optimizer)
        super().__init__(parameters)
        self._parameters = parameters
        self._guard: Guard = guard or (lambda action: action())
        self._rates: dict[int, Any] = {}  # by number of a parameter, of the step under way
        known = [parameters] if holders is None else [parameters, holders]
        self._held = [_HeldBy(optimizer, known) for optimizer in optimizers]
        # A closure computes gradients inside the step: which parameters have one is known after it, and before another
        # hook clears them.
        self._hooks = [held.optimizer.register_step_post_hook(partial(self._after, held)) for held in self._held]
        for held, hook in zip(self._held, self._hooks, strict=True):
            hooks = cast("OrderedDict[int, Any]", held.optimizer._optimizer_step_post_hooks)
            hooks.move_to_end(hook.id, last=False)

    def start(self) -> None:
        """Count from the next step on."""
        self._hooks += [held.optimizer.register_step_pre_hook(partial(self._before, held)) for held in self._held]

    def read_from(self, parameters: ParameterSubset) -> None:
        """Read these tensors from now on, of the same layout."""
        self._parameters = parameters

    # Not traced: reading parameters is no part of a compiled step.
    @torch.compiler.disable
    def _before(self, held: _HeldBy, optimizer: Optimizer, *_: Any) -> None:
        if outermost(optimizer):
            self._guard(partial(self._count, held))

    @torch.compiler.disable
    def _after(self, held: _HeldBy, optimizer: Optimizer, *_: Any) -> None:
        if outermost(optimizer):
            self._guard(partial(self._take_back, held.now, optimizer))

    @torch.no_grad()
    def _count(self, held_by: _HeldBy) -> None:
        check_decoupled(held_by.optimizer)  # a state that was loaded may have other settings
        held = held_by.follow()
        # What the last step has counted but not ended: it raised, mostly in its closure, before anything moved.
        self._add({number: found for number, found in held.items() if number in self._rates}, +1)
        for number, (group_number, _) in held.items():
            group = held_by.optimizer.param_groups[group_number]
            self._rates[number] = group["lr"] * group.get("weight_decay", 0.0)
        self._add(held, -1)

    @torch.no_grad()
    def _take_back(self, held: Held, optimizer: Optimizer) -> None:
        """Undo what was counted of parameters that the optimizer has skipped, which so have not changed."""
        counted = {number: found for number, found in held.items() if number in self._rates}
        self._add({number: found for number, found in counted.items() if found[1].grad is None}, +1)
        overflow = getattr(optimizer, "found_inf", None)  # a scaler's flag for a fused step, 1 if it does nothing
        if isinstance(overflow, Tensor):
            self._add({number: found for number, found in counted.items() if found[1].grad is not None}, overflow)
        for number in held:
            self._rates.pop(number, None)

    def _add(self, held: Held, sign: int | Tensor) -> None:
        if not held:
            return
        for block in self._parameters.blocks():
            rate = self._rates[block.number] * sign if block.number in held else 0.0
            if isinstance(rate, Tensor):  # on an accelerator nobody waits for it
                self._total[block.columns].add_(rate.to(self._total) * block.values.to(self._total))
            elif rate:
                self._total[block.columns].add_(block.values.to(self._total), alpha=rate)

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> DecayPart:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _HeldBy:
    """Which of some parameters an optimizer holds, and in which of its groups.

    Attributes:
        now: number of a parameter in the subsets -> number of its group, and what the optimizer holds.
    """

    def __init__(self, optimizer: Optimizer, subsets: list[ParameterSubset]) -> None:
        self.optimizer, self._subsets = optimizer, subsets
        self.now: Held = {}
        self._members: list[list[int]] = []
        self.follow()

    def follow(self) -> Held:
        """Look again if groups have got other members; :attr:`now`."""
        groups = self.optimizer.param_groups
        if (members := [[id(p) for p in group["params"]] for group in groups]) != self._members:
            where = {id(p): (number, p) for number, group in enumerate(groups) for p in group["params"]}
            known = [pair for subset in self._subsets for pair in enumerate(subset.parameters.values())]
            self.now, self._members = {number: where[id(p)] for number, p in known if id(p) in where}, members
        return self.now


def check_decoupled(optimizer: Optimizer) -> None:
    """Refuse an optimizer whose updates have no part that is decay.

    Raises:
        ValueError: it adds weight decay to the gradient; names it.
    """
    if isinstance(optimizer, _DECOUPLED) or type(optimizer).__name__ in _BITSANDBYTES:
        return
    for number, group in enumerate(optimizer.param_groups):
        if group.get("weight_decay", 0) and not group.get("decoupled_weight_decay", False):
            raise ValueError(
                f"{type(optimizer).__name__}: parameter group {number} has weight_decay = {group['weight_decay']}, "
                "which this optimizer adds to the gradient (coupled L2) or applies in a way that is not known here: an "
                "update has no part that is decay. Use AdamW, or another optimizer with decoupled decay, or do not ask "
                "for decay"
            )
