"""Which hook belongs to which step of an optimizer, and where a training step ends if there are several."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from types import CodeType

from torch.optim import Optimizer

__all__ = ["TrainingSteps", "outermost"]

logger = logging.getLogger("spectral_edge")

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


class TrainingSteps:
    """Training steps, counted; several optimizers may step in one.

    Args:
        every: of how many steps one is recorded.

    Attributes:
        every: as above.
        count: training steps that have ended.
        stepped: numbers of the optimizers that have stepped since the last training step ended.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.count = 0
        self.stepped: set[int] = set()
        self._hooked = self._warned = False
        self._last = -1  # number of the last recorded step, as it was given

    def note(self, optimizer: int) -> None:
        """Mark that an optimizer has stepped."""
        self.stepped.add(optimizer)
        self._hooked = True

    def end(self) -> bool:
        """End a training step, and say whether it is this one's turn to be recorded.

        If no optimizer has stepped since the last one, nothing ends, unless no hook was ever seen to run (a replayed
        CUDA graph).
        """
        if self._hooked and not self.stepped:
            if not self._warned:
                logger.warning(
                    "spectral-edge: Recorder.commit after training step %d ignored: no optimizer has stepped since the "
                    "last commit (a skipped step, or a second commit). Call it once a training step, or leave it to "
                    "the hooks.",
                    self.count,
                )
            self._warned = True
            return False
        self.stepped.clear()
        self.count += 1
        return self.count % self.every == 0

    def check_rising(self, step: int) -> None:
        """Take the number of a step that is to be recorded.

        Raises:
            ValueError: it is not above that of the last one.
        """
        if step <= self._last:
            raise ValueError(
                f"step {step} comes after step {self._last}, but an update is found again by its step; number "
                "training steps through, not in each epoch anew"
            )
        self._last = step

    def restore(self, count: int, stepped: Iterable[int], last: int) -> None:
        """Go on from a state: steps that have ended, optimizers that have stepped since, the last recorded number."""
        self.count, self.stepped, self._last = count, set(stepped), last
        self._hooked = self._hooked or bool(self.stepped)
