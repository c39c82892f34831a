"""Rows of C5: overlaps of the features that v_1, v_2, v_3 move, their angles, and the quality of the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from spectral_edge.comparison import NullRow
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.autoencoder.overlap import PAIRS, correlation, gram
from spectral_edge.replication.autoencoder.stream import AutoencodedStream, Quality
from spectral_edge.replication.claims.c05_features import CLAIM, MEAN, PUBLISHED
from spectral_edge.replication.null_summary import summarise
from spectral_edge.store import ClaimRow, NullKind

__all__ = ["angle_rows", "overlap_rows", "quality_rows"]

_NAMES = [f"v{i + 1},v{j + 1}" for i, j in PAIRS]


def overlap_rows(here: AnalysedStep, measured: np.ndarray, draws: dict[NullKind, np.ndarray]) -> list[ClaimRow]:
    """Jaccard of each pair of v_1, v_2, v_3, and their mean.

    Args:
        here: the run.
        measured: (3,) in the order of ``PAIRS``.
        draws: (n, 3) of triples by kind; the first kind decides.
    """
    selections = [(name, [i]) for i, name in enumerate(_NAMES)] + [(MEAN, [0, 1, 2])]
    rows = []
    for direction, pairs in selections:
        value = float(measured[pairs].mean())
        nulls = [summarise(draw[:, pairs].mean(1), value, kind) for kind, draw in draws.items()]
        published = PUBLISHED.get(here.run.task.name) if here.as_published and direction == MEAN else None
        rows.append(
            _edge_row(
                here,
                direction=direction,
                statistic="jaccard",
                measured=value,
                published=published,
                null=nulls[0],
                further_nulls=nulls[1:],
            )
        )
    return rows


def angle_rows(here: AnalysedStep, directions: Tensor, of_response: Sequence[NullRow]) -> list[ClaimRow]:
    """Degrees between v_i and v_j in the weights, and between their responses, which stand beside random ones."""
    rows = []
    in_weights = np.degrees(np.arccos(np.clip(correlation(gram(directions)), -1, 1)))
    for name, pair, found in zip(_NAMES, PAIRS, of_response, strict=True):
        null = summarise(found.values, found.measured, "random_directions", "less")
        rows += [
            _edge_row(here, direction=name, statistic="parameter_angle", measured=float(in_weights[pair])),
            _edge_row(here, direction=name, statistic="response_angle", measured=found.measured, null=null),
        ]
    return rows


def _edge_row(here: AnalysedStep, **found: Any) -> ClaimRow:
    c = here.config
    return here.row(
        CLAIM,
        stride=c.stride,
        window=c.window,
        centered=c.centered,
        method="jvp",
        relative_epsilon=c.relative_epsilon,
        inputs="test",
        **found,
    )


def quality_rows(
    here: AnalysedStep, stream: AutoencodedStream, quality: Quality, untrained: Sequence[Quality]
) -> list[ClaimRow]:
    """Figures by which to judge the autoencoder, beside those of random features with a least-squares decoder."""

    def row(name: str, statistic: str, **found: Any) -> ClaimRow:
        measured = float(getattr(quality, name))
        draws = np.array([getattr(other, name) for other in untrained])
        null = summarise(draws, measured, "random_features", "greater")
        return here.row(CLAIM, statistic=statistic, measured=measured, null=null, **found)

    return [
        row("explained_training", "explained_variance", grouping="trained on"),
        row("explained_left_out", "explained_variance", grouping="left out"),
        here.row(
            CLAIM,
            statistic="explained_variance_pca",
            grouping="left out",
            measured=stream.principal_components(),
        ),
        here.row(CLAIM, statistic="dead_features", inputs="all", measured=quality.dead),
        here.row(CLAIM, statistic="l0", inputs="all", measured=quality.l0),
        row("accuracy", "accuracy_spliced", inputs="test"),
        here.row(CLAIM, statistic="accuracy", inputs="test", measured=stream.model_accuracy()),
    ]
