"""The evidence on causes as questions with tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.causes.answers import answer_rows, causes_answers, delays_table, loss_ratios
from spectral_edge.experiments.causes.at_stop import UNMATCHED
from spectral_edge.experiments.causes.protocol import PROTOCOL, CausesProtocol
from spectral_edge.experiments.point import Point
from spectral_edge.statistics import mean_interval

if TYPE_CHECKING:
    import polars

__all__ = ["causes_points"]

_STEP = ["task", "moved", "centered", "directions", "strength", "quantity"]


def causes_points(tables: dict[str, polars.DataFrame], protocol: CausesProtocol = PROTOCOL) -> list[Point]:
    """Answers, removal, training arms, curvature and metric.

    Args:
        tables: of :func:`gather_causes`.
        protocol: by which they were measured.
    """
    import polars

    answers = answer_rows(causes_answers(tables, protocol))
    directions = polars.when("is_edge").then(polars.lit("v1 to v_k*")).otherwise(polars.lit("v1 to v3"))
    moved = tables["ablation"].with_columns(directions=directions)
    bent = tables["bending"].filter(polars.col("quantity").is_in(["log_gauss_newton", "log_response"]))
    steered = tables["steering"].with_columns(polars.col("strength").abs())
    return [
        Point.of_table(
            "What the protocol answers",
            "Rules and margins are in docs/causes.md.",
            polars.DataFrame(answers, infer_schema_length=None),
        ),
        Point.of_table(
            "How much more removing the edge raises the loss than a control does",
            "Rises of the held-out loss and their ratio, median and quartiles over seeds. All controls but the last "
            "move the weights as far as the edge's removal does.",
            loss_ratios(tables["ablation"]),
        ),
        Point.of_table(
            "Every step away from the weights at the stop",
            "Means over seeds of what was measured, and of every control. Rows of v1 without θ have the length of the "
            "edge's removal.",
            _levels(moved),
        ),
        Point.of_table(
            "What a step along v1 does to the logits",
            "Measured, and by how much it exceeds each control: mean over seeds and 90 % interval, both sides "
            "together; a strength of 1 is 0.05 of the weights' length.",
            _excesses(steered, ["task", "strength", "quantity"]),
        ),
        Point.of_table(
            "Training without it",
            "Delay: ratio of the times from the arm's begin to the stop, geometric mean over seeds, 90 % interval; a "
            "lower bound where not all runs stopped. Shares: of single updates and of sums of 100 updates, taken out. "
            "Cosines are of v1 as it is taken out.",
            delays_table(tables["training"]),
        ),
        Point.of_table(
            "How the loss bends along a direction, and how far it moves the residual stream",
            "Logarithms of vᵀGv and of the size of the response: measured, and by how much they exceed each null, "
            "mean over seeds and 90 % interval.",
            _excesses(bent, ["task", "checkpoint", "direction", "quantity"]),
        ),
        Point.of_table(
            "The edge in the optimizer's metric",
            "Means over seeds.",
            tables["metric"]
            .group_by("task", "checkpoint", maintain_order=True)
            .agg(
                polars.col(polars.Float64).mean(),
                (polars.col("position_plain") == polars.col("position_metric")).mean().alias("same_position"),
            ),
        ),
    ]


def _levels(moved: polars.DataFrame) -> polars.DataFrame:
    """One row a step and quantity: n, share of the weights' length, the mean measured and that of every control."""
    import polars

    own = moved.group_by(_STEP, maintain_order=True).agg(
        n=polars.col("seed").n_unique(), share=polars.col("share").mean(), measured=polars.col("measured").mean()
    )
    named = moved.with_columns(polars.col("null").replace(UNMATCHED, "unmatched"))
    controls = named.pivot("null", index=_STEP, values="null_mean", aggregate_function="mean", maintain_order=True)
    return own.join(controls, on=_STEP, how="left", maintain_order="left")


def _excesses(table: polars.DataFrame, keys: Sequence[str]) -> polars.DataFrame:
    """One row a key: n seeds, the mean measured, and of every null "mean [low, high]" of measured - null mean.

    Of several rows of a seed and null their mean counts. An interval is of 90 %, over seeds.
    """
    import polars

    by_seed = table.group_by([*keys, "null", "seed"], maintain_order=True).agg(
        polars.col("measured").mean(), excess=(polars.col("measured") - polars.col("null_mean")).mean()
    )
    rows = []
    for key, part in by_seed.group_by(keys, maintain_order=True):
        own = part.unique("seed", maintain_order=True)
        row = dict(zip(keys, key, strict=True)) | {"n": len(own), "measured": own["measured"].mean()}
        for (null,), values in part.group_by(["null"], maintain_order=True):
            row[str(null)] = _with_interval(values["excess"].to_numpy())
        rows.append(row)
    return polars.DataFrame(rows, infer_schema_length=None)


def _with_interval(values: NDArray[np.float64]) -> str:
    mean = f"{values.mean():.3f}"
    if len(values) < 2:
        return mean
    low, high = mean_interval(values, 0.90)
    return f"{mean} [{low:.3f}, {high:.3f}]"
