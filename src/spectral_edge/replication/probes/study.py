"""What linear probes say of the edge: cross-terms in the response (C10), activation probing beside it (C4).

C10 regresses the response of a direction on additive and multiplicative Fourier features and their products. Published
are ranges over v_1 … v_3, in sample: the range's lower end stands beside ``least(v1..v3)``, its upper end beside
``best(v1..v3)``, each within the tolerance of an R^2; a single number is both ends. Three nulls: random directions;
features of permuted residues, which have the same algebra on the wrong group; and, for what 400 columns buy by
themselves, white noise in place of the products, symmetric in (a, b) as they are.

The paper does not say on which pairs. Here it is the held-out ones, as elsewhere in the paper. That was settled after a
first look at seed 42: an R^2 in sample grows as inputs become fewer; on all pairs that of x^2 + y^2 is .09 to .10, not
.15 to .16 as printed, on held-out pairs it is the printed one. Random directions have the same R^2 on either. What
decides was settled later, after a review of seed 42: the gain on held-out folds, against products of permuted residues,
and only if it is above zero. The gain in sample, which decided before, is what 400 columns of anything buy, larger the
less the other features explain: 0.129 (1 - R^2 of both) gives that of every direction measured so far, random or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectral_edge.bases import grouping
from spectral_edge.grokking import ModularTask, ModularTransformer, TrainingConfig
from spectral_edge.modes import iterate_responses, mode_energy
from spectral_edge.parameters import ParameterSubset
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.replication.probes.activations import ActivationProbes, residual_stream
from spectral_edge.replication.probes.cross_terms import CrossTermProbe
from spectral_edge.replication.probes.rows import EDGE, Seen, activation_rows, cross_term_rows, response_rows
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.statistics import fourier_profile, random_directions
from spectral_edge.store import ClaimRow
from spectral_edge.subjects import BASIS
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["PROBES", "RULES"]

_RANDOM_FEATURES = 20


def _applies(training: TrainingConfig) -> bool:
    try:
        grouping("discrete_log", training.p)
    except ValueError:  # no prime, no discrete log
        return False
    return training.operation in BASIS and not training.nonzero and training.weight_decay > 0


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    here = AnalysedStep.at_stop(run, config)
    name, step, edge = here.checkpoint, here.step, here.edge
    model, parameters = run.model_at(step)
    split = run.task.split(run.training.frac_train, run.training.seed)

    say(f"probes of the activations at {name}, step {step}")
    probes = ActivationProbes(run.task, split, config.seed)
    stream = residual_stream(model, run.task.pairs)
    activation, rows = activation_rows(here, probes, stream)
    readout = probes.readout(stream, activation.top)

    say(f"probes of the responses to {config.random_directions} random directions at {name}, step {step}")
    terms = CrossTermProbe(run.task.pairs, split.test, run.training.p, config.seed)
    look = _Look(model, parameters, run.task, split.test, probes, readout, terms)
    of_edge = look.at(edge.directions(min(config.directions, edge.rank)))
    of_random = look.at(random_directions(config.random_directions, parameters.dim, config.seed))

    say(f"{_RANDOM_FEATURES} draws of random features")
    wrong_group = terms.on_permuted_residues(of_edge.kept, _RANDOM_FEATURES)
    noise = terms.with_noise(of_edge.kept)
    rows += cross_term_rows(here, of_edge, of_random, wrong_group, noise)
    rows += response_rows(here, activation, of_edge, of_random)
    arrays = {
        "r2": of_edge.r2,
        "r2_random_directions": of_random.r2,
        "r2_random_features": wrong_group,
        "r2_noise": noise,
        "activation_r2": activation.r2,
        "response_r2": of_edge.response_r2,
        "response_r2_random_directions": of_random.response_r2,
    }
    return Findings(
        rows,
        {f"probes.{name}.{key}": array.astype(np.float32) for key, array in arrays.items()},
        analysed_steps={name: step},
        edge_position={name: edge.position},
    )


PROBES = Study("probes", 1, ("C10", "C4"), _applies, _measure)


@dataclass(frozen=True)
class _Look:
    """One pass over responses.

    Attributes:
        test: indices of held-out pairs.
        probes: of the activations.
        readout: (d, r) orthonormal, what they read.
    """

    model: ModularTransformer
    parameters: ParameterSubset
    task: ModularTask
    test: np.ndarray
    probes: ActivationProbes
    readout: np.ndarray
    terms: CrossTermProbe

    def at(self, directions: Tensor) -> Seen:
        task, test = self.task, self.test
        r2: list[np.ndarray] = []
        readings, shares, energies, kept = [], [], [], np.empty(0)
        for group in iterate_responses(
            self.model, directions, torch.from_numpy(task.pairs), parameters=self.parameters
        ):
            responses = group.numpy()
            regressed = responses[:, self.terms.inputs]
            if not r2:
                kept = regressed[:EDGE]
            r2.append(self.terms.r2(regressed))
            readings += [self.probes.read(response).r2 for response in responses]
            shares += [_share_in(self.readout, response) for response in responses]
            energies.append(mode_energy(group).numpy())
        q = grouping(BASIS[task.name], task.p)
        profile = fourier_profile(np.concatenate(energies)[:, test], q(task.pairs[test]), q.order)
        return Seen(np.concatenate(r2, axis=2), np.array(readings), np.array(shares), profile.peak, kept)


def _share_in(basis: np.ndarray, response: np.ndarray) -> float:
    """Share of the variance of a response (N, d) in the span of an orthonormal basis (d, r)."""
    centered = response - response.mean(axis=0, dtype=np.float64)
    return float(np.square(centered @ basis).sum() / np.square(centered).sum())


def _of_x2_y2(rows: Rows, statistic: str) -> list[ClaimRow]:
    edge = {f"v{k + 1}" for k in range(EDGE)}
    return [r for r in rows if (r.claim, r.task, r.statistic) == ("C10", "x2_y2", statistic) and r.direction in edge]


def _beyond_random_features(rows: Rows) -> tuple[None, str]:
    found, noise = _of_x2_y2(rows, "cross_gain"), _of_x2_y2(rows, "noise_gain")
    nulls = [null for row in found for null in row.further_nulls if null.kind == "random_features"]
    if not nulls or not noise:
        return None, "random features not measured"
    beaten = sum(null.pvalue < 0.05 for null in nulls)
    return None, (
        f"in sample the products add {_mean(found):.3f} to R², those of permuted residues "
        f"{np.mean([null.mean for null in nulls]):.3f} (beaten for {beaten} of {len(nulls)} directions), as many "
        f"columns of noise {_mean(noise):.3f}"
    )


def _held_out(rows: Rows) -> tuple[None, str]:
    found = [row for row in _of_x2_y2(rows, "r2_cv") if row.grouping == "features:cross"]
    if not found:
        return None, "held-out R² not measured"
    return None, f"R² with cross-terms is {_mean(found):.2f} on held-out folds"


def _mean(rows: Rows) -> float:
    return float(np.mean([row.measured for row in rows]))


def _held_out_gain(rows: Rows) -> tuple[bool | None, str]:
    found = _of_x2_y2(rows, "cross_gain_cv")
    if not found:
        return None, "held-out gain not measured"
    return _mean(found) > 0, f"on held-out folds the products change R² by {_mean(found):+.3f} (above 0 asked)"


RULES: tuple[ClaimRule, ...] = (
    ClaimRule(
        "C10",
        "Cross-terms of additive and multiplicative features explain the responses of x²+y²",
        ("cross_gain_cv",),
        tasks=("x2_y2",),
        directions=("v1", "v2", "v3"),
        checkpoint="stop",
        decided_by="random_features",
        checks=(_beyond_random_features, _held_out),
        conditions=(_held_out_gain,),
    ),
)
