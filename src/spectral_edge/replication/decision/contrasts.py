"""The questions about runs: C1 and C2 from series over training, C11 from trunks of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectral_edge.replication.decision.arms import NEVER
from spectral_edge.replication.decision.rules import Contrast
from spectral_edge.statistics import centred_ranks
from spectral_edge.subjects.profiles import TRITASK

if TYPE_CHECKING:
    import polars

__all__ = [
    "agreement",
    "agreement_contrasts",
    "agreements",
    "declines",
    "gap_contrasts",
    "inherited_contrasts",
    "inherited_rows",
    "mean_of_means",
    "mean_over_shifts",
    "of_common_seeds",
    "up_to_stop",
]

Floats = NDArray[np.float64]

_GROKKED = 0.95
_FIRST_FULL_WINDOW, _LEAST_ROWS = 2_000, 3
_DECLINES = {
    "run_id": str, "arm": str, "task": str, "seed": int, "copy": int, "weight_decay": float, "generalises": bool,
    "stopped": bool, "step": int, "decline": float,
}  # fmt: skip
_AGREEMENTS = {
    "run_id": str, "task": str, "seed": int, "copy": int, "weight_decay": float, "step": int, "null": str,
    "measured": float, "null_mean": float,
}  # fmt: skip
# Two series of a run and the sign of their correlation: all ratios rise together while g23 falls.
PAIRS = (
    ("sigma_ratio", "displacement_ratio", 1),
    ("sigma_ratio", "ratio_W_Q", 1),
    ("sigma_ratio", "ratio_W_K", 1),
    ("g23", "displacement_ratio", -1),
    ("g23", "ratio_W_Q", -1),
    ("g23", "ratio_W_K", -1),
    ("displacement_ratio", "ratio_W_Q", 1),
    ("displacement_ratio", "ratio_W_K", 1),
)


def declines(series: polars.DataFrame, quantity: str = "g23") -> polars.DataFrame:
    """log(highest value before a step / value at it) of each run, the step being where the run generalises.

    That is the first test accuracy of 0.95 or more, as in the script. A run that never has it is read at the median
    step of the fresh runs of its operation that do, or of all of them, at most at its last; where there is none, at its
    last.

    Args:
        series: rows of :func:`~spectral_edge.replication.decision.series.measure_series` of all arms.
        quantity: a positive column.

    Returns:
        Columns run_id, arm, task, seed, copy, weight_decay, generalises, stopped, step, decline; runs with nothing
        before the step are left out.
    """
    import polars

    first = (
        series.filter((polars.col("test_accuracy") >= _GROKKED) & (polars.col("weight_decay") > 0))
        .group_by("run_id", maintain_order=True)
        .agg(polars.col("step").min(), polars.col("task").first(), polars.col("arm").first())
    )
    steps = dict(first.select("run_id", "step").iter_rows())
    fresh = first.filter(polars.col("arm").is_in(["seeds", "copies"]))
    of_task = dict(fresh.group_by("task", maintain_order=True).agg(polars.col("step").median()).iter_rows())
    of_all = float("inf") if fresh.is_empty() else float(fresh["step"].median())  # type: ignore[arg-type]
    rows = []
    for (run_id,), run in series.group_by("run_id", maintain_order=True):
        step = min(steps.get(str(run_id), of_task.get(run["task"][0], of_all)), run["step"].max())  # type: ignore[type-var]
        before, at = run.filter(polars.col("step") < step), run.filter(polars.col("step") <= step)
        if before.is_empty():
            continue
        ratio = float(before[quantity].max()) / float(at[quantity][-1])  # type: ignore[arg-type]
        row = {name: run[name][0] for name in ("run_id", "arm", "task", "seed", "copy", "weight_decay")}
        row |= {"generalises": run_id in steps, "stopped": run["stop_step"][0] is not None}
        rows.append(row | {"step": int(at["step"][-1]), "decline": float(np.log(ratio))})
    return polars.DataFrame(rows, schema=_DECLINES)


def gap_contrasts(series: polars.DataFrame) -> dict[str, Contrast]:
    """C1's contrasts by null: ``no weight decay``, ``operations that never generalise``, ``update norm``.

    A seed's value is the mean of its operations, copies averaged first. Compared with them are: the seeds of the runs
    without weight decay; the operations that never generalise, each the mean of its seeds; and the decline of the mean
    squared update norm in the seed's own runs. A null whose runs are not measured yet is left out.
    """
    import polars

    arms = polars.col("arm").is_in(["seeds", "copies"])
    if series.filter(arms & (polars.col("test_accuracy") >= _GROKKED)).is_empty():
        return {}
    of_gap, of_norm = declines(series), declines(series, "update_norm")
    fresh = arms & polars.col("generalises") & polars.col("stopped")
    decline = polars.col("decline")
    own, norm = (mean_of_means(table.filter(fresh), "seed", "task", decline) for table in (of_gap, of_norm))
    controls = of_gap.filter((polars.col("arm") == "controls") & ~polars.col("generalises"))
    decays, never = polars.col("weight_decay") > 0, polars.col("task").is_in(list(NEVER))
    no_decay = mean_of_means(controls.filter(~decays & ~never), "seed", "task", decline)
    # The runs of published length begin as shorter ones of the same seed: these count once.
    by_task = mean_of_means(controls.filter(decays & never), "task", "seed", decline)
    values = np.array(list(own.values()))
    found = {"update norm": Contrast(values - np.array([norm[seed] for seed in own]), seeds=tuple(own))}
    if len(no_decay) > 1:
        found["no weight decay"] = Contrast(values, np.array(list(no_decay.values())), tuple(own))
    if len(by_task) > 1:
        found["operations that never generalise"] = Contrast(values, np.array(list(by_task.values())), tuple(own))
    return found


def mean_of_means(rows: polars.DataFrame, of: str, parts: str, number: polars.Expr) -> dict[Any, float]:
    """For each value of the column ``of``, in order, the mean over ``parts`` of the mean over rows."""
    import polars

    by_part = rows.group_by(of, parts, maintain_order=True).agg(number.mean().alias("number"))
    return dict(by_part.group_by(of, maintain_order=True).agg(polars.col("number").mean()).sort(of).iter_rows())


def up_to_stop(series: polars.DataFrame) -> polars.DataFrame:
    """The part of stopped runs in which they are read: to the stop, but to step 2000 at least, as directions are.

    Runs without a stop are left out, and runs of fewer than three rows, which have no order.
    """
    import polars

    at = polars.max_horizontal("stop_step", _FIRST_FULL_WINDOW)
    read = series.filter(polars.col("stop_step").is_not_null() & (polars.col("step") <= at))
    return read.filter(polars.len().over("run_id") >= _LEAST_ROWS).sort("run_id", "step", maintain_order=True)


def agreement(run: polars.DataFrame, other: polars.DataFrame | None = None) -> float:
    """Mean over the pairs of sign · Spearman's ρ of two series of a run; the second of another run if given.

    Both runs are cut to the shorter.

    Raises:
        ValueError: a series is constant, or has one value.
    """
    other = run if other is None else other
    n = min(len(run), len(other))
    return _agreement(_ranks(run, n), _ranks(other, n))


def _ranks(run: polars.DataFrame, n: int) -> dict[str, Floats]:
    names = dict.fromkeys(name for pair in PAIRS for name in pair[:2])
    return {name: centred_ranks(run[name].to_numpy()[:n]) for name in names}


def _agreement(own: dict[str, Floats], other: dict[str, Floats]) -> float:
    pairs = [(own[a], other[b], sign) for a, b, sign in PAIRS]
    return float(np.mean([sign * (x @ y) / np.sqrt((x @ x) * (y @ y)) for x, y, sign in pairs]))


def agreements(series: polars.DataFrame) -> polars.DataFrame:
    """Each run's agreement beside that of ``circular shifts`` of its second series, and of series of ``other runs``.

    Series run to the stop; two runs are compared up to the earlier of their stops. Other runs are those of the same
    operation and other seeds; copies of a seed are averaged before they count as that seed.

    Returns:
        Columns run_id, task, seed, copy, weight_decay, step (the last that is read), null, measured, null_mean. A run
        without others has no row of them.
    """
    import polars

    rows = []
    for _, of_task in up_to_stop(series).group_by("task", maintain_order=True):
        rows += _beside_each_other([run for _, run in of_task.group_by("run_id", maintain_order=True)])
    return polars.DataFrame(rows, schema=_AGREEMENTS)


def _beside_each_other(runs: Sequence[polars.DataFrame]) -> list[dict[str, Any]]:
    """The rows of :func:`agreements` of the runs of one operation."""
    ranks = cache(lambda i, n: _ranks(runs[i], n))  # of few lengths, while pairs of runs are many
    seeds = [int(run["seed"][0]) for run in runs]
    rows = []
    for i, run in enumerate(runs):
        own = _agreement(ranks(i, len(run)), ranks(i, len(run)))
        null_means = {"circular shifts": mean_over_shifts(own, len(run))}
        others: dict[int, list[float]] = {}
        for j, other in enumerate(runs):
            if seeds[j] != seeds[i]:
                n = min(len(run), len(other))
                others.setdefault(seeds[j], []).append(_agreement(ranks(i, n), ranks(j, n)))
        if others:
            null_means["other runs"] = float(np.mean([np.mean(copies) for copies in others.values()]))
        origin = {name: run[name][-1] for name in ("run_id", "task", "seed", "copy", "weight_decay", "step")}
        rows += [origin | {"null": null, "measured": own, "null_mean": mean} for null, mean in null_means.items()]
    return rows


def agreement_contrasts(series: polars.DataFrame) -> dict[str, Contrast]:
    """C2's contrasts by null: ``circular shifts`` and ``other runs``, of :func:`agreements`.

    A seed's value is the mean over its runs, those of all operations and copies.
    """
    import polars

    found = {}
    table = agreements(series.filter(polars.col("arm").is_in(["seeds", "copies"])))
    for (null,), of_null in table.group_by("null", maintain_order=True):
        by_seed: dict[int, list[float]] = {}
        for seed, own, mean in of_null.select("seed", "measured", "null_mean").iter_rows():
            by_seed.setdefault(seed, []).append(own - mean)
        found[str(null)] = Contrast(_means(by_seed), seeds=tuple(sorted(by_seed)))
    return found


def of_common_seeds(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts of the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(contrast.seeds) for contrast in contrasts)))
    found = []
    for contrast in contrasts:
        of_seed = dict(zip(contrast.seeds, contrast.values, strict=True))
        found.append(Contrast(np.array([of_seed[seed] for seed in seeds]), contrast.reference, tuple(seeds)))
    return found


def inherited_contrasts(rows: polars.DataFrame) -> dict[str, Contrast]:
    """C11's contrasts by null: ``x2_y2 alone``, ``mul+x2_y2`` and ``isotropic``.

    A seed's value is log F of v1 by sum, on the script's pairs, of the trunk of three tasks minus that of x² + y²
    alone, of x² + y² with multiplication, or of the mean F of isotropic directions of the same trunk.
    """
    own = inherited_rows(rows)
    found = {}
    for (null,), of_null in own.group_by("null", maintain_order=True):
        values = (of_null["measured"] - of_null["null_mean"]).to_numpy()
        found[str(null)] = Contrast(values, seeds=tuple(of_null["seed"]))
    return found


def inherited_rows(rows: polars.DataFrame) -> polars.DataFrame:
    """The rows behind C11: log F of a trunk of three tasks, and as null mean that of what it is compared with."""
    import polars

    own = rows.filter(
        (polars.col("arm") == "trunk")
        & (polars.col("statistic") == "concentration")
        & (polars.col("inputs") == "all")
        & (polars.col("direction") == "v1")
    ).sort("seed")
    shared = own.filter(task=TRITASK)
    logs = shared.with_columns(polars.col("measured").log())
    found = [logs.with_columns(polars.col("null_mean").log(), null=polars.lit("isotropic"))]
    for null, task in (("x2_y2 alone", "x2_y2"), ("mul+x2_y2", "mul+x2_y2")):
        other = own.filter(task=task).select("seed", null_mean=polars.col("measured").log())
        found.append(
            logs.drop("null_mean").join(other, "seed").with_columns(null=polars.lit(null)).select(logs.columns)
        )
    table = polars.concat(found, how="vertical_relaxed")
    return table.with_columns(
        statistic=polars.lit("log_concentration_ratio"), task=polars.lit("x2_y2"), definition=polars.lit("script")
    ).with_columns(polars.lit(None).alias(name) for name in ("null_std", "null_quantile95", "pvalue", "draws"))


def _means(by_seed: dict[int, list[float]]) -> Floats:
    return np.array([np.mean(by_seed[seed]) for seed in sorted(by_seed)])


def mean_over_shifts(rho: float, n: int) -> float:
    """Mean of Spearman's ρ over the circular shifts 1 … n - 1 of the second series: -ρ/(n - 1).

    Over all n shifts the sum of products of centred ranks is the product of their sums, which is 0. The same holds for
    a mean of several ρ of series of one length.
    """
    return -rho / (n - 1)
