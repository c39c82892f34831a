"""One comparison on a trained run: its edge at a step, read in the basis of its own task, against matched nulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from spectral_edge.bases import grouping
from spectral_edge.comparison import Comparison, Concentration, OtherPhases, Peakedness, VarianceShare, compare
from spectral_edge.subjects.profiles import BASIS
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["compare_run"]


def compare_run(
    run: TrainedRun,
    step: int,
    *,
    window: int = 20,
    stride: int = 100,
    center: bool = True,
    k: int | None = None,
    nulls: Sequence[str] | None = None,
    inputs: Literal["test", "all"] = "test",
    draws: int = 200,
    seed: int = 0,
) -> Comparison:
    """Compare the edge directions of a run with their nulls: concentration, share of variance, peakedness.

    The grouping is that in which the paper reads the operation, or its output.

    Args:
        run: a trained run.
        step: of a snapshot.
        window, stride, center: of the edge.
        k: number of directions; the edge's position if left out.
        nulls: as for ``compare``, and ``"other_phases"``: edges of all windows of the run that do not overlap this one.
        inputs: held-out pairs, or all.
        draws, seed: of each null.

    Raises:
        ValueError: snapshots do not hold the window, a null cannot be had, or the task has no cyclic output.
        StoreError: a file is damaged.
    """
    model, parameters = run.model_at(step)
    basis = BASIS.get(run.task.name, f"output:{run.task.name}")
    q = grouping(basis, run.task.p)
    pairs = run.task.pairs
    if inputs == "test":
        pairs = pairs[run.split.test]
    labels = q(pairs)
    asked = None if nulls is None else [_null(run, name, step, window, stride, center) for name in nulls]
    found = compare(
        model,
        run.edge(step, window, stride, center),
        torch.from_numpy(np.ascontiguousarray(pairs)),
        [Concentration(labels, q.order), VarianceShare(labels, q.order), Peakedness(labels, q.order)],
        parameters=parameters,
        k=k,
        nulls=asked,
        draws=draws,
        seed=seed,
    )
    where = {"run": run.path.name, "task": run.task.name, "step": step, "stride": stride, "grouping": basis}
    return replace(found, protocol=found.protocol | where | {"pairs": inputs})


def _null(run: TrainedRun, name: str, step: int, window: int, stride: int, center: bool) -> str | OtherPhases:
    if name != OtherPhases.name:
        return name
    length, known = window * stride, set(run.run.snapshot_steps())
    last = max(known)
    ends = [end for end in range(step % length, last + 1, length) if end != step and end >= length]
    whole = [end for end in ends if known.issuperset(range(end - length, end + 1, stride))]
    if not whole:
        raise ValueError(
            f"{run.path}: no other window of {window} updates of stride {stride} lies before or after step {step}; "
            "use a smaller window, or leave other_phases out"
        )
    return OtherPhases([run.edge(end, window, stride, center) for end in whole])
