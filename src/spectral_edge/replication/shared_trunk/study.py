"""C11: does x2_y2, trained on one trunk with addition and multiplication, take over addition's frequency?

All functions are read on nonzero pairs, the domain of the shared trunks, also in models trained on all pairs. The
published numbers do not say in which grouping F at frequency 26 was taken: it is measured by sum, where 26 is
addition's frequency, and held against the published number there; and by output, a² + b², beside it.

||dh||² of a shared trunk belongs to no task: an edge that only moves addition peaks at addition's frequency. The
response of the logits of one head (direction ``v1:head_x2_y2``) is that of one task; it is ours, as are the
frequencies that each head uses, read from its logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from spectral_edge.bases import grouping
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.null_summary import summarise
from spectral_edge.replication.shared_trunk.contrasts import (
    CLAIM,
    EDGE,
    FEATURES,
    SPECTRA,
    across_models,
    model_name,
    shared_frequencies,
    synergy,
)
from spectral_edge.replication.shared_trunk.frequencies import (
    FrequencyUse,
    embedding_frequencies,
    logit_frequencies,
    logits_of,
)
from spectral_edge.replication.shared_trunk.responses import TrunkResponses, trunk_responses
from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study, is_published_protocol
from spectral_edge.representation import RidgeProbe, cross_term_features, cross_term_sets, mirror_folds
from spectral_edge.statistics import FourierProfile, fourier_profile, random_directions, rarity_pvalue
from spectral_edge.store import Checkpoint, ClaimRow, PeakNull
from spectral_edge.subjects.checkpoints import grok_step
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["SHARED_TRUNK", "PublishedNumbers", "published_numbers"]

_KNOWN = {"add", "mul", "x2_y2"}
_PUBLISHED_FREQUENCY = 26
_FOLDS = 5


@dataclass(frozen=True)
class PublishedNumbers:
    """The paper's numbers of one model, seed 42; their direction is not said, they are put beside v_1."""

    peak: int
    share: float
    synergy: float


_PUBLISHED = {
    "x2_y2": PublishedNumbers(peak=17, share=0.09, synergy=0.024),
    "add+mul+x2_y2": PublishedNumbers(peak=26, share=0.20, synergy=0.043),
}


def _applies(training: TrainingConfig) -> bool:
    return training.weight_decay > 0 and set(training.operations) <= _KNOWN


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    name: Checkpoint = "stop"
    step = run.step_of(name, config.window)
    if step is None or run.stop_step is None:  # a run that does not generalise is analysed where it ended
        name = "final"
        step = run.step_of(name, config.window)
    assert step is not None
    here = AnalysedStep(run, config, name, step)
    say(f"frequencies of the heads at {name}, step {step}")
    frequencies = _frequencies(here, step)
    steps = _grok_steps(run)
    rows = [_row_of(here)(task=task, statistic="grok_step", measured=at) for task, at in steps.items()]
    rows += _frequency_rows(here, frequencies)
    arrays = {f"shared_trunk.frequencies.{key}": use.power for key, use in frequencies.items()}
    if "x2_y2" in steps:  # which may be before or after addition's
        at_grok = _frequencies(here, steps["x2_y2"])
        rows += _frequency_rows(here, at_grok, at_step=steps["x2_y2"])
        arrays |= {f"shared_trunk.frequencies_at_grok.{key}": use.power for key, use in at_grok.items()}
    training = run.training
    if "x2_y2" in training.operations or training.nonzero:
        say(f"null of {config.random_directions} directions of the trunk at {name}, step {step}")
        modes = _Modes(here)
        rows += modes.rows(frequencies)
        arrays |= modes.arrays()
    return Findings(
        rows, {key: np.ascontiguousarray(array, dtype=np.float32) for key, array in arrays.items()}, {name: step}
    )


SHARED_TRUNK = Study("shared_trunk", 2, (CLAIM,), _applies, _measure, across_models)


def _row_of(here: AnalysedStep) -> Callable[..., ClaimRow]:
    """What makes a row of C11 at this step."""
    return partial(here.row, CLAIM, task=_subject(here.run), model=model_name(here.run.training))


def _subject(run: TrainedRun) -> str:
    """The task that the rows are about."""
    operations = run.training.operations
    return "x2_y2" if "x2_y2" in operations else operations[0]


def published_numbers(training: TrainingConfig, config: AnalysisConfig) -> PublishedNumbers | None:
    """The paper's numbers of a run, ``None`` unless they are of its protocol, seed, window, stride and centring."""
    return _PUBLISHED.get(training.operation) if is_published_protocol(training, config) else None


def _grok_steps(run: TrainedRun) -> dict[str, int]:
    """First of the evaluations in a row at which each of several tasks met the stopping rule by itself."""
    training, found = run.training, {}
    for task in training.operations if len(training.operations) > 1 else ():
        metrics = [line | {"test_accuracy": line["test_accuracies"][task]} for line in run.metrics]
        step = grok_step(metrics, training.stop_accuracy, training.stop_patience)
        if step is not None:
            found[task] = step
    return found


def _frequencies(here: AnalysedStep, step: int) -> dict[str, FrequencyUse]:
    """``head_<task>`` for every task, ``embedding_sum`` and ``embedding_discrete_log``."""
    config, model = here.config, here.run.model_at(step)[0]
    found = {
        f"head_{task.name}": logit_frequencies(logits_of(model, task), task, config.permutations, config.seed)
        for task in here.run.tasks
    }
    embedding = model.tok_emb.weight.detach().numpy()
    for basis in ("sum", "discrete_log"):
        found[f"embedding_{basis}"] = embedding_frequencies(
            embedding, here.run.task, basis, config.permutations, config.seed
        )
    return found


def _frequency_rows(
    here: AnalysedStep, frequencies: dict[str, FrequencyUse], at_step: int | None = None
) -> list[ClaimRow]:
    """Frequencies of heads and embedding; with ``at_step`` those where x2_y2 met the stopping rule by itself."""
    row, suffix = _row_of(here), ""
    if at_step is not None:
        row, suffix = partial(row, checkpoint=None, step=at_step), ":at_grok_of_x2_y2"
    rows = []
    for key, use in frequencies.items():
        read, _, what = key.partition("_")
        rows.append(
            row(
                task=what if read == "head" else _subject(here.run),
                statistic=("logit_concentration" if read == "head" else "embedding_concentration") + suffix,
                grouping=use.grouping,
                inputs="all" if read == "head" else None,
                measured=use.concentration,
                peak=use.top[0],
                top=use.top,
                null=summarise(use.permuted, use.concentration, "input_permutation"),
            )
        )
    if {"head_add", "head_x2_y2"} <= set(frequencies):
        overlap, null, common = shared_frequencies(
            frequencies["head_add"].power, frequencies["head_x2_y2"].power, here.config.seed
        )
        rows.append(row(statistic="shared_frequencies:add" + suffix, measured=overlap, top=common, null=null))
    return rows


class _Modes:
    """Edge and random directions at one checkpoint, read from the trunk and from every head."""

    def __init__(self, here: AnalysedStep) -> None:
        run, config = here.run, here.config
        model, parameters = run.model_at(here.step)
        self._p, nonzero = run.training.p, (run.task.pairs != 0).all(axis=1)
        self._pairs = run.task.pairs[nonzero]
        test = np.zeros(len(run.task.pairs), dtype=bool)
        test[run.split.test] = True
        self._test = test[nonzero]
        self._subject = _subject(run)
        self.readings = ("trunk", f"head_{self._subject}")
        sets = {name: cross_term_sets(self._p)[name] for name in FEATURES}
        features = cross_term_features(self._pairs, self._p)[:, sets["both"]]
        probe = RidgeProbe(features, sets=sets, folds=mirror_folds(self._pairs, _FOLDS, config.seed))
        edge = here.edge.directions(len(EDGE))
        null = random_directions(config.random_directions, parameters.dim, config.seed)
        self._edge, self._random = (
            trunk_responses(model, directions, self._pairs, parameters, probe, self.readings)
            for directions in (edge, null)
        )
        self._row = partial(here.edge_row, CLAIM, task=self._subject, model=model_name(run.training))
        self._published = published_numbers(run.training, config) if here.checkpoint == "stop" else None
        self._profiles: dict[tuple[str, str], tuple[FourierProfile, FourierProfile]] = {}

    def rows(self, frequencies: dict[str, FrequencyUse]) -> list[ClaimRow]:
        """Spectra and regressions of v_1 … v_3 in trunk and head, each beside the random directions."""
        return [
            row
            for reading in self.readings
            for k in range(len(EDGE))
            for row in [*self._spectral_rows(reading, k, frequencies), *self._regression_rows(reading, k)]
        ]

    def _spectral_rows(self, reading: str, k: int, frequencies: dict[str, FrequencyUse]) -> list[ClaimRow]:
        rows = []
        published = self._published if (reading, k) == ("trunk", 0) else None
        for basis in SPECTRA if self._subject == "x2_y2" else ("sum",):
            edge, random = self.profiles(reading, basis)
            row = partial(self._row, direction=_direction(reading, k), grouping=basis, inputs="test")
            peaks = random.peak.tolist()
            peak = int(edge.peak[k])
            compared = published if basis == "sum" else None
            rows.append(
                row(
                    statistic="concentration",
                    measured=float(edge.concentration[k]),
                    peak=peak,
                    top=edge.strongest(min(3, edge.power.shape[1]))[k].tolist(),
                    published_peak=compared.peak if compared else None,
                    null=summarise(random.concentration, float(edge.concentration[k])),
                    peak_null=PeakNull(
                        kind="random_directions",
                        n=len(peaks),
                        same=peaks.count(peak),
                        pvalue=rarity_pvalue(peak, peaks),
                    ),
                )
            )
            if basis == "discrete_log":  # its frequencies are those of another group
                continue
            for name, named in self._named_frequencies(frequencies).items():
                measured, null = (_shares(profile)[:, np.array(named) - 1].sum(axis=1) for profile in (edge, random))
                rows.append(
                    row(
                        statistic=f"power_share:{name}",
                        measured=float(measured[k]),
                        peak=named[0] if len(named) == 1 else None,
                        top=named,
                        published=compared.share if compared and name == "published" else None,
                        null=summarise(null, float(measured[k])),
                    )
                )
        return rows

    def _regression_rows(self, reading: str, k: int) -> list[ClaimRow]:
        """R² on additive, multiplicative and both features, and what both explain beyond the better one."""
        row = partial(self._row, direction=_direction(reading, k), inputs="all")
        edge, random = self._edge.r2[reading], self._random.r2[reading]
        rows = [
            row(
                statistic="r2",
                grouping=features,
                measured=float(edge[0, i, k]),
                null=summarise(random[0, i], float(edge[0, i, k])),
            )
            for i, features in enumerate(FEATURES)
        ]
        published = self._published if (reading, k) == ("trunk", 0) else None
        for i, statistic in enumerate(("synergy", "synergy_cross_validated")):
            measured = float(synergy(edge)[i, k])
            rows.append(
                row(
                    statistic=statistic,
                    grouping="both",
                    measured=measured,
                    published=published.synergy if published and i == 0 else None,
                    null=summarise(synergy(random)[i], measured),
                )
            )
        return rows

    def _named_frequencies(self, frequencies: dict[str, FrequencyUse]) -> dict[str, list[int]]:
        """Frequencies whose share of power is measured: addition's in this model, and the published one."""
        named = {}
        if "head_add" in frequencies:
            addition = frequencies["head_add"].top
            named = {"addition": addition[:1], "addition_top3": addition[:3]}
        if self._published:
            named["published"] = [_PUBLISHED_FREQUENCY]
        return named

    def profiles(self, reading: str, basis: str) -> tuple[FourierProfile, FourierProfile]:
        """Of edge and random directions, on held-out nonzero pairs."""
        if (reading, basis) not in self._profiles:
            q = grouping(basis, self._p)
            labels = q(self._pairs[self._test])

            def profile(of: TrunkResponses) -> FourierProfile:
                return fourier_profile(of.energy[reading][:, self._test], labels, q.order)

            self._profiles[reading, basis] = profile(self._edge), profile(self._random)
        return self._profiles[reading, basis]

    def arrays(self) -> dict[str, np.ndarray]:
        """Spectra, shares of power that add up to 1, of every reading; R² of the probed ones."""
        found = {}
        for reading in self._edge.energy:
            for basis in SPECTRA:
                edge, random = self.profiles(reading, basis)
                found[f"shared_trunk.{reading}.{basis}.edge"] = _shares(edge)
                found[f"shared_trunk.{reading}.{basis}.random"] = _shares(random)
        for reading in self.readings:
            found[f"shared_trunk.{reading}.r2.edge"] = self._edge.r2[reading]
            found[f"shared_trunk.{reading}.r2.random"] = self._random.r2[reading]
        return found


def _direction(reading: str, k: int) -> str:
    return EDGE[k] if reading == "trunk" else f"{EDGE[k]}:{reading}"


def _shares(profile: FourierProfile) -> np.ndarray:
    return profile.power / profile.power.sum(axis=1, keepdims=True)
