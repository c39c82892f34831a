"""The evidence on causes as questions with tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectral_edge.experiments.causes.answers import causes_answers, delays_table, loss_ratios
from spectral_edge.experiments.causes.protocol import PROTOCOL, CausesProtocol
from spectral_edge.experiments.point import Point
from spectral_edge.statistics import mean_interval

if TYPE_CHECKING:
    import polars

__all__ = ["causes_points", "excess_table"]


def causes_points(tables: dict[str, polars.DataFrame], protocol: CausesProtocol = PROTOCOL) -> list[Point]:
    """Answers, removal, training arms, curvature and metric.

    Args:
        tables: of :func:`gather_causes`.
        protocol: by which they were measured.
    """
    import polars

    answers = [
        {"task": task} | answer.__dict__ for task, found in causes_answers(tables, protocol).items() for answer in found
    ]
    bent = tables["bending"].filter(polars.col("direction").is_in(["v1", "v1-theta"]))
    return [
        Point.of_table(
            "What the protocol answers",
            "Rules and margins are in docs/causes.md.",
            polars.DataFrame(answers, infer_schema_length=None),
        ),
        Point.of_table(
            "How much more removing the edge raises the loss than a control does",
            "Ratio of the rises of the held-out loss, geometric mean over seeds, 90 % interval. All controls but the "
            "last move the weights as far as the edge's removal does.",
            loss_ratios(tables["ablation"]),
        ),
        Point.of_table(
            "What a step along v1 does to the logits",
            "Mean excess over seeds and its 90 % interval, both sides together; 1 is 0.05 of the weights' length.",
            excess_table(
                tables["steering"].with_columns(polars.col("strength").abs()), ["task", "strength", "quantity", "null"]
            ),
        ),
        Point.of_table(
            "Training without it",
            "Delay: ratio of the times from the arm's begin to the stop, geometric mean over seeds, 90 % interval; a "
            "lower bound where not all runs stopped. Shares: of single updates and of sums of 100 updates, taken out.",
            delays_table(tables["training"]),
        ),
        Point.of_table(
            "How the loss bends along v1, and how far v1 moves the residual stream",
            "Mean excess over seeds and its 90 % interval.",
            excess_table(bent, ["task", "checkpoint", "direction", "quantity", "null"]),
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


def excess_table(table: polars.DataFrame, keys: list[str]) -> polars.DataFrame:
    """Mean of measured - null mean over seeds with its 90 % interval, one row a key; columns n, excess, low, high."""
    import polars

    by_seed = table.group_by([*keys, "seed"], maintain_order=True).agg(
        (polars.col("measured") - polars.col("null_mean")).mean().alias("excess")
    )
    rows = []
    for key, part in by_seed.group_by(keys, maintain_order=True):
        values = part["excess"].to_numpy()
        low, high = mean_interval(values, 0.90) if len(values) > 1 else (None, None)
        rows.append(
            dict(zip(keys, key, strict=True)) | {"n": len(values), "excess": values.mean(), "low": low, "high": high}
        )
    return polars.DataFrame(rows, infer_schema_length=None)
