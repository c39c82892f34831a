"""Whether features of a sparse autoencoder explain the edge (C5): do its directions move the same features?

A TopK autoencoder (512 features, 32 active, for width 128) is trained on the residual stream of nine tenths of all
pairs and judged on the tenth left out. Each direction moves the weights by epsilon = 0.005 ||theta||, as published,
and a feature's effect is the mean change of its activation over the held-out pairs of the task. Overlap is the Jaccard
index of the 20 most affected features.

The published p >= .97, against directions at 45 degrees, says that the edge's overlap does not exceed that of other
directions.

Nulls: random directions, in disjoint triples. Edge directions are orthogonal in the weights by construction and
so are random ones, up to a third of a degree: the two are matched in angle, at 90 and not at the published 45 degrees.
Beside them stand random directions mixed so that their responses make the angles of the edge's responses; at 45
degrees; sets drawn at random; and the edge itself seen through untrained autoencoders.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from spectral_edge.comparison import Comparison, Isotropic, NullRow, compare
from spectral_edge.grokking import TrainingConfig
from spectral_edge.modes import functional_modes
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.autoencoder.overlap import (
    FeatureOverlap,
    Mixed,
    correlation,
    gram,
    most_affected,
    overlaps,
    random_sets,
)
from spectral_edge.replication.autoencoder.rows import angle_rows, overlap_rows, quality_rows
from spectral_edge.replication.autoencoder.stream import AutoencodedStream
from spectral_edge.replication.claims.c05_features import CLAIM
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.representation import SparseAutoencoder
from spectral_edge.store import Analysis, NullKind, write_sae_lens
from spectral_edge.subjects.profiles import GROKKING
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["AUTOENCODER", "export_autoencoder", "has_autoencoder"]

_UNTRAINED = 20
_RANDOM_SETS = 999
_WEIGHTS = ("W_enc", "b_enc", "W_dec", "b_dec")
_ARRAYS = "autoencoder."


def _applies(training: TrainingConfig) -> bool:
    return training.operation in GROKKING and training.weight_decay > 0 and not training.nonzero


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    here = AnalysedStep.at_stop(run, config)
    name, step, edge = here.checkpoint, here.step, here.edge
    model, parameters = run.model_at(step)
    directions = edge.directions(3)
    held_out = run.split.test

    say(f"sparse autoencoder of the residual stream at {name}, step {step}")
    stream = AutoencodedStream(model, run.task, held_out, config.seed)
    quality = stream.quality()

    say(f"features moved by {config.random_directions} random directions at {name}, step {step}")
    pairs = torch.from_numpy(run.task.pairs[held_out])
    responses = functional_modes(model, directions, pairs, parameters=parameters).response
    epsilon = config.relative_epsilon * float(parameters.flatten().double().norm())
    seen_by = partial(
        FeatureOverlap,
        activations=model.residual(pairs),
        epsilon=epsilon,
        edge_angles=correlation(gram(responses)),
    )
    moved = seen_by(stream.autoencoder)
    found = compare(
        model,
        directions,
        pairs,
        moved.statistics(),
        parameters=parameters,
        nulls=Isotropic(config.random_directions),
        seed=config.seed,
        keep={"norm": lambda response: response.norm().numpy()},
        quiet=True,
    ).whole()
    unlearned = [stream.untrained(config.seed + 1 + i) for i in range(_UNTRAINED)]
    through_unlearned = np.array([overlaps(most_affected(seen_by(a).effects(responses))) for a in unlearned])
    alive = round((1 - quality.dead) * stream.autoencoder.d_sae)

    draws = _mixed_draws(found) | {
        "combinatorial": random_sets(alive, _RANDOM_SETS, config.seed),
        "random_features": through_unlearned,
    }
    measured = np.array([row.measured for row in _of_pairs(found, "random_directions")])
    rows = overlap_rows(here, measured, draws)
    rows += angle_rows(here, directions, _of_pairs(found, "angle"))
    rows += quality_rows(here, stream, quality, [stream.untrained_quality(a) for a in unlearned])
    arrays = {
        **{f"jaccard_{kind}": draw for kind, draw in draws.items()},
        "jaccard": measured,
        "effects": moved.effects(responses),
        "response_norm": moved.epsilon * found.kept["norm"]["tested"],
        "response_norm_random_directions": moved.epsilon * found.kept["norm"][Isotropic.name],
    }
    stored = _stored(stream.autoencoder, arrays)
    return Findings(rows, stored, analysed_steps={name: step}, edge_position={name: edge.position})


AUTOENCODER = Study("autoencoder", 4, (CLAIM,), _applies, _measure)


def _of_pairs(found: Comparison, kind: Mixed | Literal["angle"]) -> list[NullRow]:
    """The rows of one kind of statistic, in the order of ``PAIRS``."""
    rows = {row.statistic: row for row in found.rows}
    return [rows[FeatureOverlap.name(kind, i)] for i in range(3)]


def _mixed_draws(found: Comparison) -> dict[NullKind, np.ndarray]:
    """Overlaps (n, 3) of the pairs of random triples, by how these are mixed."""
    kinds: tuple[Mixed, ...] = ("random_directions", "angle_matched", "fixed_angle")
    return {kind: np.stack([row.values for row in _of_pairs(found, kind)], axis=1) for kind in kinds}


def _stored(autoencoder: SparseAutoencoder, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of an analysis: the autoencoder, from which it is exported, and what was measured."""
    weights = {key: getattr(autoencoder, key).numpy() for key in _WEIGHTS}
    stored = {f"{_ARRAYS}{key}": array.astype(np.float32) for key, array in (weights | arrays).items()}
    return stored | {f"{_ARRAYS}k": np.array([autoencoder.k])}


def has_autoencoder(analysis: Analysis) -> bool:
    """Whether the stored analysis holds an autoencoder to export."""
    return f"{_ARRAYS}k" in analysis.arrays


def export_autoencoder(analysis: Analysis, folder: Path) -> None:
    """Write the autoencoder of a stored analysis into ``folder`` in the layout of SAELens.

    Raises:
        StoreError: the analysis holds no autoencoder, or it could not be written.
    """
    weights = {key: analysis.arrays[f"{_ARRAYS}{key}"] for key in _WEIGHTS if f"{_ARRAYS}{key}" in analysis.arrays}
    k = int(analysis.arrays[f"{_ARRAYS}k"][0]) if has_autoencoder(analysis) else 0
    summary = analysis.summary
    metadata = {
        "model_name": f"spectral-edge modular transformer: {summary.task}",
        "hook_name": "residual stream at position 0 after the last block, before the final norm",
        "run_id": summary.run_id,
        "steps": summary.analysed_steps,
    }
    write_sae_lens(folder, weights, k, metadata)
