"""Which steps of a run the paper's words name: early, memorisation, transition, stop (paper, section 4, item 9)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from spectral_edge.store import RunDirectory

__all__ = ["Metrics", "checkpoint_step", "grok_step", "snapshots_before", "stop_step"]

Metrics = Sequence[dict[str, Any]]


def grok_step(metrics: Metrics, stop_accuracy: float, patience: int) -> int | None:
    """First of ``patience`` evaluations in a row at or above ``stop_accuracy``; ``None`` if that never happened."""
    last = _last_of_streak(metrics, stop_accuracy, patience)
    return None if last is None else int(metrics[last - patience + 1]["step"])


def stop_step(metrics: Metrics, stop_accuracy: float, patience: int) -> int | None:
    """Last of those evaluations, where the published protocol ends the run; ``None`` if that never happened."""
    last = _last_of_streak(metrics, stop_accuracy, patience)
    return None if last is None else int(metrics[last]["step"])


def _last_of_streak(metrics: Metrics, stop_accuracy: float, patience: int) -> int | None:
    above = 0
    for i, line in enumerate(metrics):
        above = above + 1 if line["test_accuracy"] >= stop_accuracy else 0
        if above == patience:
            return i
    return None


def checkpoint_step(metrics: Metrics, checkpoint: str, window: int, stop: int | None = None) -> int | None:
    """The step a checkpoint name stands for, ``None`` where the run has no such phase.

    A run may have gone on after the step ``stop`` where the published protocol ends it; all names but ``final`` then
    speak of the part up to there.

    * ``stop``: last evaluation with test accuracy > 0.95;
    * ``transition``: first evaluation with test accuracy > 0.5;
    * ``memorisation``: middle of the evaluations with train accuracy > 0.8 and test accuracy < 0.3;
    * ``early``: evaluation number max(W, n/10) of n;
    * ``final``: last evaluation.

    Raises:
        ValueError: unknown name, or no evaluations.
    """
    if not metrics:
        raise ValueError("checkpoint_step: the run has no evaluations yet; train it first")
    if checkpoint != "final" and stop is not None:
        metrics = [line for line in metrics if line["step"] <= stop]
    steps = [int(line["step"]) for line in metrics]
    test = [line["test_accuracy"] for line in metrics]
    train = [line["train_accuracy"] for line in metrics]
    if checkpoint == "final":
        return steps[-1]
    if checkpoint == "early":
        number = max(window, len(steps) // 10)
        return steps[number - 1] if number <= len(steps) else None
    phases = {
        "stop": [s for s, accuracy in zip(steps, test, strict=True) if accuracy > 0.95][-1:],
        "transition": [s for s, accuracy in zip(steps, test, strict=True) if accuracy > 0.5][:1],
        "memorisation": [s for s, a, b in zip(steps, train, test, strict=True) if a > 0.8 and b < 0.3],
    }
    if checkpoint not in phases:
        raise ValueError(
            f"checkpoint_step: {checkpoint!r} is unknown; choose early, memorisation, transition, stop or final"
        )
    found = phases[checkpoint]
    return found[len(found) // 2] if found else None


def snapshots_before(run: RunDirectory, step: int, stride: int, window: int) -> list[int]:
    """The window + 1 snapshot steps, ``stride`` apart, that end at ``step``.

    Raises:
        ValueError: the trajectory does not hold them, and names the window that would fit; or one is out of range.
    """
    if window < 2 or stride < 1:
        raise ValueError(f"window = {window}, stride = {stride}: a spectrum needs 2 updates of a stride of 1 at least")
    known = run.snapshot_steps()
    if step not in known:
        nearest = min(known, key=lambda s: abs(s - step))
        raise ValueError(
            f"{run.path}: there is no snapshot of step {step}; the nearest is of step {nearest}, the last of step "
            f"{known[-1]}"
        )
    held = set(known)
    fitting = next(n for n in itertools.count() if step - (n + 1) * stride not in held)
    if fitting < window:
        where = f"{run.path}: a window of {window} updates of stride {stride} does not fit before step {step}"
        if fitting >= 2:
            raise ValueError(f"{where}; a window of {fitting} does, or a later step")
        raise ValueError(f"{where}; snapshots near it are of steps {_near(known, step)}: choose another stride or step")
    return [step - n * stride for n in range(window, -1, -1)]


def _near(known: Sequence[int], step: int) -> str:
    last = known.index(step)
    first = max(0, last - 3)
    return ("…, " if first else "") + ", ".join(map(str, known[first : last + 1]))
