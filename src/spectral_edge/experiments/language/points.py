"""The evidence on a language model as questions with tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectral_edge.experiments.language.summary import (
    explained_summary,
    language_answers,
    plant_summary,
    reading_summary,
)
from spectral_edge.experiments.point import Point

if TYPE_CHECKING:
    import polars

__all__ = ["language_points"]

_SEEDS = "Means over seeds with 90 % intervals; n is the number of seeds."


def language_points(tables: dict[str, polars.DataFrame]) -> list[Point]:
    """Answers, what directions explain, what of a plant is found, and what text predicts.

    Args:
        tables: of :func:`gather_language`.
    """
    import polars

    explained = explained_summary(tables["explained"]).filter(arm="base").drop("arm")
    own = polars.col("edge").is_in(["update", "centred", "pieces"]) | (polars.col("by") == "edge")
    readings = reading_summary(tables["readings"]).filter(statistic="text").drop("statistic")
    return [
        Point.of_table(
            "What the protocol answers",
            "Rules and margins are in docs/language_evidence.md.",
            polars.DataFrame([answer.__dict__ for answer in language_answers(tables)], infer_schema_length=None),
        ),
        Point.of_table(
            "What directions explain of a window's change, first training",
            f"R² of every character's change of log-probability, and gain over the displacement, held out. {_SEEDS}",
            explained.filter(own),
        ),
        Point.of_table(
            "Where a plant is found",
            "Found: p at most 0.05 against documents exchanged and against isotropic directions.",
            plant_summary(tables["readings"], tables["learned"]),
        ),
        Point.of_table(
            "How well features of the text predict a response",
            f"Cross-validated gain; with a null, the excess over its mean. {_SEEDS}",
            readings,
        ),
    ]
