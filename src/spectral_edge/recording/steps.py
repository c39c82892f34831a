"""Which call of an optimizer's step a hook belongs to."""

from __future__ import annotations

import sys
from types import CodeType

from torch.optim import Optimizer

__all__ = ["outermost"]

_CONSTANTS = Optimizer.profile_hook_step.__code__.co_consts
_AROUND_STEP = next((c for c in _CONSTANTS if isinstance(c, CodeType) and c.co_name == "wrapper"), None)


def outermost(optimizer: Optimizer) -> bool:
    """Whether the hook that runs now is of the step that was called, and not of one that this step calls.

    PyTorch runs hooks around the ``step`` of every class that has one, so a step that calls that of its base class runs
    them twice. Counting hooks does not tell: a step that raises runs the first and not the last. So this looks for
    PyTorch's own frames on the stack; in a compiled step there are none, and every hook counts.
    """
    depth, frame = 0, sys._getframe(1)
    while frame is not None:
        depth += frame.f_code is _AROUND_STEP and frame.f_locals.get("self") is optimizer
        frame = frame.f_back  # type: ignore[assignment]
    return depth < 2
