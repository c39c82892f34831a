"""What of the edge is weight decay: curves over training, and the directions of both parts against the nulls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.statistics import mean_interval
from spectral_edge.store import Curve, PartEffect
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.profiles import GROKKING

if TYPE_CHECKING:
    import polars

__all__ = ["decay_curves", "part_effects"]

PARTS = ("v1", "v1-theta", "theta", "gradient1", "decay1")
STATISTICS = ("concentration", "variance_share:pc1")
_QUANTITIES = (
    "cosine_theta", "gradient_share_v1", "gradient_share_v2", "gradient_share_v3", "g23", "g23_gradient", "g23_decay",
    "sigma_ratio", "sigma_ratio_gradient", "sigma_ratio_decay",
)  # fmt: skip
_LEAST_SHARE = 0.8


def decay_curves(series: polars.DataFrame) -> list[Curve]:
    """Quantities of the updates and of both parts over the steps before the stop: median and quartiles over seeds.

    A point stands where four fifths of the runs have a value: runs stop at different steps, and the edge of 20 updates
    begins at step 2000.
    """
    import polars

    fresh = series.filter((polars.col("arm") == "seeds") & (polars.col("copy") == 0))
    at_stop = polars.max_horizontal("stop_step", 2000)
    fresh = fresh.filter(polars.col("stop_step").is_not_null()).with_columns(before=polars.col("step") - at_stop)
    fresh = fresh.filter(polars.col("before") <= 0).with_columns(polars.col("cosine_theta").abs())
    return [curve for task in GROKKING for curve in _curves(task, fresh.filter(task=task))]


def _curves(task: str, runs: polars.DataFrame) -> Iterator[Curve]:
    import polars

    n = runs["run_id"].n_unique()
    for quantity in _QUANTITIES:
        known = runs.filter(polars.col(quantity).is_not_null() & polars.col(quantity).is_finite())
        points = known.group_by("before", maintain_order=True).agg(
            polars.col(quantity).median().alias("median"),
            polars.col(quantity).quantile(0.25, "linear").alias("low"),
            polars.col(quantity).quantile(0.75, "linear").alias("high"),
            polars.len(),
        )
        points = points.filter(polars.col("len") >= _LEAST_SHARE * n).sort("before")
        if len(points):
            columns = {name: points[name].to_list() for name in ("median", "low", "high")}
            yield Curve(task=task, quantity=quantity, steps_before_stop=points["before"].to_list(), n=n, **columns)


def part_effects(rows: polars.DataFrame, protocol: Protocol) -> list[PartEffect]:
    """The excess over ``isotropic`` and ``weights`` of v1, of v1 without θ, of θ and of v1 of both parts, at the stop.

    Of F and of the share of the first component's variance, both in the operation's own basis, on held-out pairs
    without a = b; mean over seeds with the protocol's interval.
    """
    import polars

    own = rows.filter(
        (polars.col("arm") == "seeds")
        & (polars.col("copy") == 0)
        & (polars.col("checkpoint") == "stop")
        & (polars.col("inputs") == "test_off_diagonal")
        & (polars.col("grouping") == polars.col("task").replace_strict(BASIS, default=None))
    ).with_columns(excess=polars.col("measured") - polars.col("null_mean"))
    found = []
    for task in GROKKING:
        for statistic in STATISTICS:
            for direction in PARTS:
                for null in ("isotropic", "weights"):
                    wanted = own.filter(task=task, statistic=statistic, direction=direction, null=null)
                    values = wanted.sort("seed")["excess"].to_numpy()
                    if len(values) > 1:
                        low, high = mean_interval(values, protocol.interval)
                        found.append(
                            PartEffect(
                                task=task, statistic=statistic, direction=direction, null=null, n=len(values),
                                effect=float(np.mean(values)), low=low, high=high,
                            )
                        )  # fmt: skip
    return found
