"""What a sparse autoencoder (C5) and cross-terms (C10) see of the edge, beside matched nulls."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from spectral_edge.comparison import NullRow, Span, compare
from spectral_edge.comparison.statistic import of_set
from spectral_edge.modes import functional_modes
from spectral_edge.replication.autoencoder.overlap import FeatureOverlap, most_affected, overlaps
from spectral_edge.replication.autoencoder.stream import AutoencodedStream
from spectral_edge.replication.decision.directions import StepDirections
from spectral_edge.replication.decision.measure import provenance, row_of, stop_of
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.replication.decision.statistics import GAIN, Measured, cross_term_statistics
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["measure_cross_terms", "measure_features"]

_EDGE = ("v1", "v2", "v3")
_RANDOM_FEATURES = 20
_RELATIVE_EPSILON = 0.005


def measure_features(
    run: TrainedRun, arm: str, protocol: Protocol, edges: TrainedRun | None = None
) -> list[dict[str, Any]]:
    """The mean overlap of the features that v_1 … v_3 move (C5), against sets of matched directions.

    ``random_features``: the same directions seen through untrained autoencoders. With ``edges`` (the hybrid arm) the
    directions are those of another run, and isotropic ones stand beside them.

    Cost: 20 s of training and 540 responses and 2500 encodings, about 4 min on one thread.
    """
    step, source = stop_of(run, protocol.window * protocol.stride), edges or run
    directions = StepDirections.of(
        source,
        stop_of(source, protocol.window * protocol.stride),
        protocol,
        None if edges is None else run.weights_at(step),
    )
    model, parameters = run.model_at(step)
    held_out = run.split.test
    stream = AutoencodedStream(model, run.task, held_out, run.training.seed)
    pairs = torch.from_numpy(run.task.pairs[held_out])
    epsilon = _RELATIVE_EPSILON * float(parameters.flatten().double().norm())
    seen_by = partial(FeatureOverlap, activations=model.residual(pairs), epsilon=epsilon, edge_angles=np.eye(3))
    rows = directions.chosen(_EDGE)
    found = compare(
        model,
        rows,
        pairs,
        of_set(seen_by(stream.autoencoder).mean_overlap, "jaccard", size=3, relative_signs=True),
        parameters=parameters,
        nulls=("isotropic", Span(directions.edge), "weights") if edges is None else "isotropic",
        draws=protocol.draws,
        seed=run.training.seed,
        quiet=True,
    ).whole()
    responses = functional_modes(model, rows, pairs, parameters=parameters).response
    untrained = [stream.untrained(run.training.seed + 1 + i) for i in range(_RANDOM_FEATURES)]
    masks = (most_affected(seen_by(features).effects(responses)) for features in untrained)
    draws = np.array([overlaps(mask).mean() for mask in masks])
    measured = found.rows[0].measured
    nulls = [*found.rows, NullRow(None, "jaccard", "random_features", measured, draws)]
    origin = provenance(run, source, "stop", step, directions.edge, directions.window, protocol) | {"arm": arm}
    return [row_of(origin, "pairs(v1..v3)", Measured("jaccard", None, "test"), row) for row in nulls]


def measure_cross_terms(run: TrainedRun, arm: str, protocol: Protocol) -> list[dict[str, Any]]:
    """What products of additive and multiplicative features add to the R² of a response (C10), for v_1 … v_3.

    ``random_features``: products of permuted residues in place of the products, beside the named features.

    Cost: 360 responses and 500 regressions, about 2 min on one thread.
    """
    step = stop_of(run, protocol.window * protocol.stride)
    directions = StepDirections.of(run, step, protocol)
    model, parameters = run.model_at(step)
    pairs = run.held_out_pairs
    statistics = cross_term_statistics(run, pairs)
    probe = statistics[GAIN].probe
    rows = directions.chosen(_EDGE)
    found = compare(
        model,
        rows,
        pairs,
        {str(measured): statistic for measured, statistic in statistics.items()},
        parameters=parameters,
        nulls=("isotropic", Span(directions.edge), "weights", "blocks"),
        draws=protocol.draws,
        seed=run.training.seed,
        quiet=True,
    ).whole()
    responses = functional_modes(model, rows, pairs[probe.inputs], parameters=parameters).response.numpy()
    wrong = probe.on_permuted_residues(responses, _RANDOM_FEATURES)[:, 1, 4]  # (draws, 3), held out
    origin = provenance(run, run, "stop", step, directions.edge, directions.window, protocol) | {"arm": arm}
    by_name = {str(measured): measured for measured in statistics}
    table = [row_of(origin, _EDGE[(row.direction or 1) - 1], by_name[row.statistic], row) for row in found.rows]
    both = probe.r2(responses)[1, 2]
    for k, name in enumerate(_EDGE):
        own = next(row.measured for row in found.rows if (row.direction, row.statistic) == (k + 1, str(GAIN)))
        row = NullRow(k + 1, str(GAIN), "random_features", own, wrong[:, k] - both[k])
        table.append(row_of(origin, name, GAIN, row))
    return table
