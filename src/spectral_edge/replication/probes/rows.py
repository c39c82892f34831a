"""Rows of C10 and C4: what probes found of v_1 … v_3, beside its nulls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.null_summary import subset_draws, summarise
from spectral_edge.replication.probes.activations import ActivationProbes, Reading, residual_stream, untrained_models
from spectral_edge.replication.probes.cross_terms import FEATURE_SETS
from spectral_edge.store import ClaimRow
from spectral_edge.subjects import BASIS

__all__ = ["EDGE", "Seen", "activation_rows", "cross_term_rows", "response_rows"]

EDGE = 3
"""Directions that rows are made of, v_1 … v_3."""

_UNTRAINED = 20
_PERMUTED = 20
_PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "add": {"add": (0.17, 0.29), "mul": (0.02, 0.02), "both": (0.18, 0.31), "cross": (0.29, 0.40)},
    "mul": {"add": (0.02, 0.02), "mul": (0.11, 0.26), "both": (0.12, 0.27), "cross": (0.23, 0.37)},
    "x2_y2": {"add": (0.01, 0.01), "mul": (0.02, 0.02), "both": (0.03, 0.04), "cross": (0.15, 0.16)},
}
"""Ends of the published ranges over v_1 … v_3, in sample."""
_PUBLISHED_RATIO = {"x2_y2": 4.0}


@dataclass(frozen=True)
class Seen:
    """What probes find in k responses.

    Attributes:
        r2: (2, 4, k) in sample and held out, on add, mul, both, cross.
        response_r2: (k, M // 2) held-out R^2 of the Fourier features, read from the response.
        share: (k,) of the response's variance in the space that the probes of the activations read.
        peak: (k,) frequency at which f_k peaks on held-out pairs, in the task's own grouping.
        kept: (3, n, d) the first responses, on the inputs of the regressions.
    """

    r2: np.ndarray
    response_r2: np.ndarray
    share: np.ndarray
    peak: np.ndarray
    kept: np.ndarray


def cross_term_rows(
    here: AnalysedStep, edge: Seen, random: Seen, wrong_group: np.ndarray, noise: np.ndarray
) -> list[ClaimRow]:
    """Rows of C10.

    ``r2``: R^2 on one feature set; ``synergy``: R^2(both) - max(R^2(add), R^2(mul)); ``cross_gain``: R^2(cross) -
    R^2(both), and ``cross_ratio`` their ratio; ``noise_gain``: what symmetric noise in place of the products adds.
    ``_cv``: the same of held-out R^2.

    Args:
        here: the run.
        edge: of v_1 … v_k.
        random: of random directions.
        wrong_group: (n, 2, 5, 3) R^2 of v_1 … v_3 on features of permuted residues.
        noise: (2, 3) R^2 of v_1 … v_3 with noise in place of the products.
    """
    rows = []
    for held_out, suffix in enumerate(("", "_cv")):
        of_edge, of_random, wrong = edge.r2[held_out], random.r2[held_out], wrong_group[:, held_out].swapaxes(0, 1)
        for s, name in enumerate(FEATURE_SETS):
            statistic, features = f"r2{suffix}", f"features:{name}"
            rows += _each(here, statistic, features, of_edge[s], of_random[s], wrong[s])
            rows += _least_and_best(here, statistic, name, of_edge[s], of_random[s], wrong[s])
        synergies = (_synergy(of_edge), _synergy(of_random), _synergy(wrong))
        rows += _each(here, f"synergy{suffix}", "features:both", *synergies)
        gains = (_gain(of_edge), _gain(of_random), wrong[4] - of_edge[2, :EDGE])
        rows += _each(here, f"cross_gain{suffix}", "features:cross", *gains)
        bought = noise[held_out] - of_edge[2, :EDGE]
        rows += [
            here.edge_row(
                "C10",
                direction=f"v{k + 1}",
                statistic=f"noise_gain{suffix}",
                grouping="features:noise",
                inputs="test",
                measured=float(bought[k]),
            )
            for k in range(EDGE)
        ]
    return [*rows, _mean_ratio(here, edge.r2[0], random.r2[0], wrong_group[:, 0, 4])]


def _synergy(r2: np.ndarray) -> np.ndarray:
    return r2[2] - np.maximum(r2[0], r2[1])


def _gain(r2: np.ndarray) -> np.ndarray:
    return r2[3] - r2[2]


def _each(
    here: AnalysedStep, statistic: str, features: str, edge: np.ndarray, random: np.ndarray, wrong: np.ndarray
) -> list[ClaimRow]:
    """One row each of v_1 … v_3: (k,) values, (n,) of random directions, (draws, 3) of random features."""
    return [
        here.edge_row(
            "C10",
            direction=f"v{k + 1}",
            statistic=statistic,
            grouping=features,
            inputs="test",
            measured=float(edge[k]),
            null=summarise(random, float(edge[k]), "random_directions"),
            further_nulls=[summarise(wrong[:, k], float(edge[k]), "random_features")],
        )
        for k in range(EDGE)
    ]


def _least_and_best(
    here: AnalysedStep, statistic: str, name: str, edge: np.ndarray, random: np.ndarray, wrong: np.ndarray
) -> list[ClaimRow]:
    """The least and the best of v_1 … v_3, beside the ends of the published range; arguments as :func:`_each`."""
    ends = _PUBLISHED.get(here.run.task.name, {}).get(name) if here.as_published and statistic == "r2" else None
    rows = []
    for end, (word, aggregate) in enumerate((("least", np.min), ("best", np.max))):
        measured = float(aggregate(edge[:EDGE]))
        draws = subset_draws(aggregate, edge[:EDGE], random, here.config.seed)
        rows.append(
            here.edge_row(
                "C10",
                direction=f"{word}(v1..v3)",
                statistic=statistic,
                grouping=f"features:{name}",
                inputs="test",
                measured=measured,
                published=None if ends is None else ends[end],
                null=summarise(draws, measured, "random_directions"),
                further_nulls=[summarise(aggregate(wrong, axis=1), measured, "random_features")],
            )
        )
    return rows


def _mean_ratio(here: AnalysedStep, edge: np.ndarray, random: np.ndarray, wrong: np.ndarray) -> ClaimRow:
    """Mean over v_1 … v_3 of R^2(cross)/R^2(both), in sample."""
    of_edge, of_random = (r2[3] / r2[2] for r2 in (edge, random))
    measured = float(of_edge[:EDGE].mean())
    draws = subset_draws(np.mean, of_edge[:EDGE], of_random, here.config.seed)
    return here.edge_row(
        "C10",
        direction="mean(v1..v3)",
        statistic="cross_ratio",
        grouping="features:cross",
        inputs="test",
        measured=measured,
        published=_PUBLISHED_RATIO.get(here.run.task.name) if here.as_published else None,
        null=summarise(draws, measured, "random_directions"),
        further_nulls=[summarise((wrong / edge[2, :EDGE]).mean(axis=1), measured, "random_features")],
    )


def activation_rows(
    here: AnalysedStep, probes: ActivationProbes, activations: np.ndarray
) -> tuple[Reading, list[ClaimRow]]:
    """Read the activations, and rows of C4: probing them succeeds, beside untrained models and permuted labels.

    ``probe_r2``: mean held-out R^2 of the three frequencies read best; ``probe_accuracy``: of the answer.
    """
    run, seed, basis = here.run, here.config.seed, BASIS[here.run.task.name]
    reading, accuracy = probes.read(activations), probes.accuracy(activations)
    fresh = [residual_stream(m, run.task.pairs) for m in untrained_models(run.training, _UNTRAINED, seed)]
    untrained = np.array([probes.read(h).best for h in fresh])
    permuted = np.array([r.best for r in probes.read_permuted(activations, _PERMUTED, seed)])
    return reading, [
        here.row(
            "C4",
            statistic="probe_r2",
            grouping=basis,
            inputs="all",
            measured=reading.best,
            peak=reading.top[0],
            top=reading.top,
            null=summarise(untrained, reading.best, "untrained"),
            permutation_null=summarise(permuted, reading.best, "input_permutation"),
        ),
        here.row(
            "C4",
            statistic="probe_accuracy",
            grouping=basis,
            inputs="test",
            measured=accuracy,
            null=summarise(np.array([probes.accuracy(h) for h in fresh]), accuracy, "untrained"),
        ),
    ]


def response_rows(here: AnalysedStep, activation: Reading, edge: Seen, random: Seen) -> list[ClaimRow]:
    """Rows of C4: what those probes say of the edge, beside random directions.

    ``probe_subspace_share``: share of the response's variance in the space that the three best probes of the
    activations read; ``probe_r2_at_peak``: R^2 of the activations' probe for the frequency at which f_k peaks;
    ``response_probe_r2``: as ``probe_r2``, read from the response.
    """
    of_edge, of_random = ([Reading(r2) for r2 in seen.response_r2] for seen in (edge, random))
    peaks = [[int(peak)] for peak in edge.peak]
    tops = [reading.top for reading in of_edge]
    measured: list[tuple[str, np.ndarray, np.ndarray, list[list[int]] | None]] = [
        ("probe_subspace_share", edge.share, random.share, None),
        ("probe_r2_at_peak", activation.r2[edge.peak - 1], activation.r2[random.peak - 1], peaks),
        ("response_probe_r2", np.array([r.best for r in of_edge]), np.array([r.best for r in of_random]), tops),
    ]
    return [
        here.edge_row(
            "C4",
            direction=f"v{k + 1}",
            statistic=statistic,
            grouping=BASIS[here.run.task.name],
            inputs="all",
            measured=float(values[k]),
            peak=top[k][0] if top else None,
            top=top[k] if top else None,
            null=summarise(null, float(values[k]), "random_directions"),
        )
        for statistic, values, null, top in measured
        for k in range(EDGE)
    ]
