"""Rows of C10 and C4: what probes found of v_1 … v_3, beside its nulls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from spectral_edge.comparison import Comparison, NullRow
from spectral_edge.comparison.features import computed_once
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.modes import Peak
from spectral_edge.replication.null_summary import subset_draws, summarise
from spectral_edge.replication.probes.activations import ActivationProbes, FrequencyR2, untrained_models
from spectral_edge.replication.probes.cross_terms import FEATURE_SETS, statistic_name, synergy
from spectral_edge.store import ClaimRow
from spectral_edge.subjects import BASIS

__all__ = [
    "EDGE",
    "activation_rows",
    "cross_term_rows",
    "read_response",
    "response_rows",
    "response_statistics",
]

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


def cross_term_rows(
    here: AnalysedStep, found: Comparison, wrong_group: np.ndarray, noise: np.ndarray
) -> list[ClaimRow]:
    """Rows of C10.

    ``r2``: R^2 on one feature set; ``synergy``, ``cross_gain`` and ``cross_ratio`` as in :class:`CrossTermProbe`;
    ``noise_gain``: what symmetric noise in place of the products adds. ``_cv``: the same of held-out R^2.

    Args:
        here: the run.
        found: v_1 … v_k beside random directions.
        wrong_group: (n, 2, 5, 3) R^2 of v_1 … v_3 on features of permuted residues.
        noise: (2, 3) R^2 of v_1 … v_3 with noise in place of the products.
    """
    rows = []
    of_edge = np.moveaxis(found.kept["r2"]["tested"][:EDGE], 0, 2)
    for held_out, suffix in ((False, ""), (True, "_cv")):
        wrong, both = wrong_group[:, int(held_out)].swapaxes(0, 1), of_edge[int(held_out), 2]
        for s, name in enumerate(FEATURE_SETS):
            numbers = rows_of(found, statistic_name(f"r2 {name}", held_out))
            rows += _each(here, f"r2{suffix}", f"features:{name}", numbers, wrong[s])
            rows += _least_and_best(here, f"r2{suffix}", name, numbers, wrong[s])
        synergies = rows_of(found, statistic_name("synergy", held_out))
        rows += _each(here, f"synergy{suffix}", "features:both", synergies, synergy(wrong))
        gains = rows_of(found, statistic_name("cross_gain", held_out))
        rows += _each(here, f"cross_gain{suffix}", "features:cross", gains, wrong[4] - both)
        rows += [
            here.edge_row(
                "C10",
                direction=f"v{k + 1}",
                statistic=f"noise_gain{suffix}",
                grouping="features:noise",
                inputs="test",
                measured=float(bought),
            )
            for k, bought in enumerate(noise[int(held_out)] - both)
        ]
    return [*rows, _mean_ratio(here, rows_of(found, "cross_ratio"), wrong_group[:, 0, 4] / of_edge[0, 2])]


def rows_of(found: Comparison, statistic: str) -> list[NullRow]:
    """A statistic of v_1 … v_3 beside random directions."""
    return [row for row in found.rows if row.statistic == statistic][:EDGE]


def _each(
    here: AnalysedStep, statistic: str, features: str, found: Sequence[NullRow], wrong: np.ndarray
) -> list[ClaimRow]:
    """One row each of v_1 … v_3, beside (draws, 3) of random features."""
    return [
        here.edge_row(
            "C10",
            direction=f"v{k + 1}",
            statistic=statistic,
            grouping=features,
            inputs="test",
            measured=row.measured,
            null=summarise(row.values, row.measured, "random_directions"),
            further_nulls=[summarise(wrong[:, k], row.measured, "random_features")],
        )
        for k, row in enumerate(found)
    ]


def _least_and_best(
    here: AnalysedStep, statistic: str, name: str, found: Sequence[NullRow], wrong: np.ndarray
) -> list[ClaimRow]:
    """The least and the best of v_1 … v_3, beside the ends of the published range; arguments as :func:`_each`."""
    ends = _PUBLISHED.get(here.run.task.name, {}).get(name) if here.as_published and statistic == "r2" else None
    edge = np.array([row.measured for row in found])
    rows = []
    for end, (word, aggregate) in enumerate((("least", np.min), ("best", np.max))):
        measured = float(aggregate(edge))
        draws = subset_draws(aggregate, edge, found[0].values, here.config.seed)
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


def _mean_ratio(here: AnalysedStep, found: Sequence[NullRow], wrong: np.ndarray) -> ClaimRow:
    """Mean over v_1 … v_3 of R^2(cross)/R^2(both), in sample; ``wrong`` (draws, 3) of random features."""
    edge = np.array([row.measured for row in found])
    measured = float(edge.mean())
    draws = subset_draws(np.mean, edge, found[0].values, here.config.seed)
    return here.edge_row(
        "C10",
        direction="mean(v1..v3)",
        statistic="cross_ratio",
        grouping="features:cross",
        inputs="test",
        measured=measured,
        published=_PUBLISHED_RATIO.get(here.run.task.name) if here.as_published else None,
        null=summarise(draws, measured, "random_directions"),
        further_nulls=[summarise(wrong.mean(axis=1), measured, "random_features")],
    )


def activation_rows(
    here: AnalysedStep, probes: ActivationProbes, activations: np.ndarray
) -> tuple[FrequencyR2, list[ClaimRow]]:
    """Read the activations, and rows of C4: probing them succeeds, beside untrained models and permuted labels.

    ``probe_r2``: mean held-out R^2 of the three frequencies read best; ``probe_accuracy``: of the answer.
    """
    run, seed, basis = here.run, here.config.seed, BASIS[here.run.task.name]
    reading, accuracy = probes.read(activations), probes.accuracy(activations)
    pairs = torch.from_numpy(run.task.pairs)
    fresh = [m.residual(pairs).numpy() for m in untrained_models(run.training, _UNTRAINED, seed)]
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


def response_statistics(
    probes: ActivationProbes, readout: np.ndarray, peak: Peak, activation: FrequencyR2
) -> dict[str, Callable[[Tensor], float]]:
    """What those probes say of a response to all pairs, for ``compare``.

    ``probe_subspace_share``: share of the response's variance in the space (d, r) that the three best probes of the
    activations read; ``probe_r2_at_peak``: R^2 of the activations' probe for the frequency at which its energy peaks;
    ``response_probe_r2``: as ``probe_r2``, read from the response.
    """
    return {
        "probe_subspace_share": lambda response: _share_in(readout, response.cpu().numpy()),
        "probe_r2_at_peak": lambda response: float(activation.r2[int(peak(response)) - 1]),
        "response_probe_r2": lambda response: read_response(probes, response).best,
        "peak": peak,
    }


def read_response(probes: ActivationProbes, response: Tensor) -> FrequencyR2:
    """What linear probes find in a response (N, d)."""
    key = ("probes", id(probes))
    return computed_once(response, key, lambda: (probes.read(response.cpu().numpy()), probes))[0]


def _share_in(basis: np.ndarray, response: np.ndarray) -> float:
    """Share of the variance of a response (N, d) in the span of an orthonormal basis (d, r)."""
    centered = response - response.mean(axis=0, dtype=np.float64)
    return float(np.square(centered @ basis).sum() / np.square(centered).sum())


def response_rows(here: AnalysedStep, found: Comparison) -> list[ClaimRow]:
    """Rows of C4: what those probes say of v_1 … v_3, beside random directions; see :func:`response_statistics`."""
    tops = [FrequencyR2(r2).top for r2 in found.kept["response_r2"]["tested"][:EDGE]]
    strongest: dict[str, list[list[int]] | None] = {
        "probe_subspace_share": None,
        "probe_r2_at_peak": [[int(row.measured)] for row in rows_of(found, "peak")],
        "response_probe_r2": tops,
    }
    return [
        here.edge_row(
            "C4",
            direction=f"v{k + 1}",
            statistic=statistic,
            grouping=BASIS[here.run.task.name],
            inputs="all",
            measured=row.measured,
            peak=top[k][0] if top else None,
            top=top[k] if top else None,
            null=summarise(row.values, row.measured, "random_directions"),
        )
        for statistic, top in strongest.items()
        for k, row in enumerate(rows_of(found, statistic))
    ]
