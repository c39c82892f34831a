"""From tables to answers: one a question and operation, by the rules of docs/causes.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.answer import ExperimentAnswer, beyond_all
from spectral_edge.experiments.causes.at_stop import UNMATCHED
from spectral_edge.experiments.causes.protocol import PROTOCOL, CausesProtocol
from spectral_edge.replication.decision import PROTOCOL as RULES
from spectral_edge.replication.decision.rules import ThreeWay, combined, decide_bound
from spectral_edge.statistics import mean_interval

if TYPE_CHECKING:
    import polars

__all__ = ["answer_rows", "arms_of", "causes_answers", "delays_table", "loss_ratios"]

_CONTROLS = ("isotropic", "weights", "span", "blocks", "theta")
_BENT = {"v1": ("isotropic", "weights", "span", "blocks"), "v1-theta": ("isotropic", "weights", "blocks")}
_MATCHED = {"edge": ("span", "rest"), "across": ("span_across", "rest")}
_NAMES = {
    "edge": "v1",
    "edge3": "v1 to v3",
    "across": "v1 without θ",
    "theta": "θ",
    "v1": "v1",
    "v1-theta": "v1 without θ",
}

BySeed = dict[int, float]


def causes_answers(
    tables: Mapping[str, polars.DataFrame], protocol: CausesProtocol = PROTOCOL
) -> dict[str, list[ExperimentAnswer]]:
    """By task, the answers to every question; under ``"all"`` one a question: yes if all are, no if one is."""
    found = {task: list(_of_task(task, tables, protocol)) for task in protocol.operations}
    together = [_together(dict(zip(found, answers, strict=True))) for answers in zip(*found.values(), strict=True)]
    return {"all": together} | found


def answer_rows(answers: Mapping[str, Sequence[ExperimentAnswer]]) -> list[dict[str, Any]]:
    """Rows of :func:`causes_answers`, each with its task."""
    return [{"task": task} | answer.__dict__ for task, found in answers.items() for answer in found]


def _together(answers: Mapping[str, ExperimentAnswer]) -> ExperimentAnswer:
    """The task that decides lends its numbers: of those with the answer of all, the one with the smallest effect."""
    answer = combined([one.answer for one in answers.values()])
    deciding = [one for one in answers.values() if one.answer == answer]
    weakest = min(deciding, key=lambda one: math.inf if one.effect is None else one.effect)
    return replace(weakest, because=", ".join(f"{task} {one.answer}" for task, one in answers.items()))


def _of_task(task: str, tables: Mapping[str, polars.DataFrame], protocol: CausesProtocol) -> Iterator[ExperimentAnswer]:
    import polars

    removed = tables["ablation"].filter(task=task, moved="removed", centered=True, is_edge=True, quantity="log_loss")
    for strength, what in ((0.5, "half of the edge"), (1.0, "the edge")):
        excess = _excesses(removed.filter(strength=strength), _CONTROLS)
        yield from _both_ways(
            f"removing {what} raises the loss {{}} than a step of its length", excess, protocol.loss_margin
        )
    for quantity, question in (
        (
            "log_share",
            "a larger part of what v1 does to logits is at the model's own frequencies than of a matched step",
        ),
        ("log_amplitude", "a step along v1 moves logits more at the model's own frequencies than a matched step"),
    ):
        steered = tables["steering"].filter(polars.col("strength").abs() == 1.0, task=task, quantity=quantity)
        yield _beyond(question, _excesses(steered, _CONTROLS), protocol.steering_margin)
    for direction, nulls in _BENT.items():
        bent = tables["bending"].filter(task=task, checkpoint="stop", direction=direction, quantity="log_gauss_newton")
        question = f"the loss bends {{}} along {_NAMES[direction]} than along matched directions"
        yield from _both_ways(question, _excesses(bent, nulls), protocol.curvature_margin)
    yield _same_in_the_metric(tables["metric"].filter(task=task, checkpoint="stop"), protocol)
    yield from _of_arms(arms_of(tables["training"].filter(task=task), protocol), protocol)


def _both_ways(question: str, excess: Mapping[str, BySeed], margin: float) -> Iterator[ExperimentAnswer]:
    yield _beyond(question.format("more"), excess, margin)
    less = {null: {seed: -value for seed, value in values.items()} for null, values in excess.items()}
    yield _beyond(question.format("less"), less, margin)


def _beyond(question: str, excess: Mapping[str, BySeed], margin: float) -> ExperimentAnswer:
    """Over the seeds that have every competitor."""
    seeds = sorted(set.intersection(*(set(values) for values in excess.values())))
    return beyond_all(question, {name: np.array([v[s] for s in seeds]) for name, v in excess.items()}, margin)


def _excesses(table: polars.DataFrame, nulls: Sequence[str]) -> dict[str, BySeed]:
    """Of each null, measured - null mean of every seed; of several rows of a seed, their mean."""
    import polars

    own = table.group_by("null", "seed", maintain_order=True).agg(
        (polars.col("measured") - polars.col("null_mean")).mean().alias("excess")
    )
    return {null: dict(own.filter(null=null).select("seed", "excess").iter_rows()) for null in nulls}


def _same_in_the_metric(table: polars.DataFrame, protocol: CausesProtocol) -> ExperimentAnswer:
    cosines = table.sort("seed")["cosine"].to_numpy()
    found = decide_bound(1 - cosines, protocol.metric_bound, RULES)
    same = int((table["position_plain"] == table["position_metric"]).sum())
    because = (
        f"mean cosine {cosines.mean():.2f}, bound {1 - protocol.metric_bound:g} (metrics with permuted entries: "
        f"{np.mean(table['cosine_permuted'].to_numpy()):.2f}); the same k* in {same} of {len(table)}"
    )
    question = "v1 is the same direction in the optimizer's metric"
    return ExperimentAnswer(question, found.answer, found.effect, found.low, found.high, found.n, because)


def arms_of(training: polars.DataFrame, protocol: CausesProtocol = PROTOCOL) -> polars.DataFrame:
    """One row a run and arm, with ``delay``: log of (stop - begin) over that of the unchanged run.

    Where an arm never stopped (``censored``), the end that it might have reached stands for its stop, so that its delay
    is a lower bound; so it does for an arm that diverged before.
    """
    import polars

    longest = polars.when("diverged").then(protocol.patience * polars.col("unchanged_stop")).otherwise("last")
    end = polars.coalesce("stop", longest)
    once = training.unique(["task", "seed", "training_arm"], keep="last", maintain_order=True)
    return once.with_columns(
        delay=((end - polars.col("begin")) / (polars.col("unchanged_stop") - polars.col("begin"))).log(),
        censored=polars.col("stop").is_null(),
    )


def _of_arms(arms: polars.DataFrame, protocol: CausesProtocol) -> Iterator[ExperimentAnswer]:
    for arm, others in _MATCHED.items():
        question = f"taking {_NAMES[arm]} out of updates delays generalisation more than other directions of the window"
        of = _in_common_seeds(arms, (arm, *others))
        excess = {other: _by_seed(of[arm], of[arm]["delay"] - of[other]["delay"]) for other in others}
        yield _allowed(_beyond(question, excess, protocol.delay_margin), arm, of, protocol)
    for arm in ("edge", "edge3", "across", "theta"):
        question = f"taking {_NAMES[arm]} out of updates delays generalisation"
        (own,) = _in_common_seeds(arms, (arm,)).values()
        answer = _beyond(question, {"no change": _by_seed(own, own["delay"])}, protocol.delay_margin)
        endless = int(own["censored"].sum())
        because = f"{answer.because}; {len(own) - endless} of {len(own)} stopped"
        yield replace(answer, answer=_unless(answer, yes=False, no=endless > 0), because=because)


def _in_common_seeds(arms: polars.DataFrame, names: Sequence[str]) -> dict[str, polars.DataFrame]:
    """Of each arm its rows by seed, of the seeds that have them all."""
    import polars

    parts = [arms.filter(training_arm=name) for name in names]
    common = sorted(set.intersection(*(set(part["seed"]) for part in parts)))
    kept = [part.filter(polars.col("seed").is_in(common)).sort("seed") for part in parts]
    return dict(zip(names, kept, strict=True))


def _by_seed(part: polars.DataFrame, values: polars.Series) -> BySeed:
    return dict(zip(part["seed"], values, strict=True))


def _allowed(
    answer: ExperimentAnswer, arm: str, of: Mapping[str, polars.DataFrame], protocol: CausesProtocol
) -> ExperimentAnswer:
    """Undecided where the control that decides took out too little, or where an arm without an end could change it."""
    strongest = answer.over
    assert strongest is not None
    drifts = {name: float(np.mean(part["removed_drift"].to_numpy())) for name, part in of.items()}
    endless = {name: int(part["censored"].sum()) for name, part in of.items()}
    because = (
        f"{answer.because}; {arm} took out {drifts[arm]:.2g} of the drift and {strongest} {drifts[strongest]:.2g}; "
        f"never stopped: {', '.join(f'{name} in {count} seeds' for name, count in endless.items())}"
    )
    weak = drifts[strongest] < protocol.least_drift * drifts[arm]
    controls = sum(count for name, count in endless.items() if name != arm)
    return replace(answer, answer=_unless(answer, yes=weak or controls > 0, no=endless[arm] > 0), because=because)


def _unless(answer: ExperimentAnswer, *, yes: bool, no: bool) -> ThreeWay:
    """The answer, or undecided where there is a reason against a yes or against a no."""
    return "undecided" if (answer.answer == "yes" and yes) or (answer.answer == "no" and no) else answer.answer


def delays_table(training: polars.DataFrame) -> polars.DataFrame:
    """What each arm took out and what came of it, one row a (task, arm).

    Columns task, training_arm, n, stopped (runs that did), delay (ratio of times to the stop, geometric mean over
    seeds) with its 90 % interval low and high, removed_share and removed_drift (means), norm (of the weights at the
    end, over that at the begin); and of arms that take out v1, means over all evaluations of its |cos| to θ, to v1 of
    100 steps before and to v1 of the updates after removal.
    """
    import polars

    rows = []
    for (task, arm), part in arms_of(training).group_by(["task", "training_arm"], maintain_order=True):
        delay, low, high = _geometric(part["delay"].to_numpy())
        curves = training.filter(task=task, training_arm=arm).sort("step")
        ends = curves.group_by("seed").agg(polars.col("norm").last() / polars.col("norm").first())
        cosines = {f"cosine_{other}": curves[f"cosine_{other}"].mean() for other in ("theta", "before", "done")}
        rows.append(
            {
                "task": task, "training_arm": arm, "n": len(part), "stopped": int((~part["censored"]).sum()),
                "delay": delay, "low": low, "high": high, "removed_share": part["removed_share"].mean(),
                "removed_drift": part["removed_drift"].mean(), "norm": ends["norm"].mean(),
            } | (cosines if arm in ("edge", "edge3") else dict.fromkeys(cosines))
        )  # fmt: skip
    return polars.DataFrame(rows, infer_schema_length=None)


def loss_ratios(ablation: polars.DataFrame) -> polars.DataFrame:
    """How much more removing the edge raises the loss than a control: median and quartiles over seeds.

    The ratio of a run is its rise without the edge over that of the control, the mean of whose draws is taken of the
    logarithm of the loss. A rise may be negative, of removed random directions in about a quarter of the runs; their
    ratio, in absolute value, is what was published: over a rise that is nearly nothing. Columns task, null, n, rise and
    control_rise (medians), ratio, lower_quartile, upper_quartile.
    """
    import polars

    own = ablation.filter(moved="removed", centered=True, is_edge=True, strength=1.0, quantity="log_loss")
    rows = []
    for (task, null), part in own.sort("seed").group_by(["task", "null"], maintain_order=True):
        before, without, control = (np.exp(part[name].to_numpy()) for name in ("baseline", "measured", "null_mean"))
        rises = {"rise": without - before, "control_rise": control - before}
        ratio = rises["rise"] / (rises["control_rise"] if null != UNMATCHED else np.abs(rises["control_rise"]))
        quartiles = dict(
            zip(("lower_quartile", "ratio", "upper_quartile"), np.quantile(ratio, (0.25, 0.5, 0.75)), strict=True)
        )
        rows.append(
            {"task": task, "null": "unmatched" if null == UNMATCHED else null, "n": len(part)}
            | {name: float(np.median(values)) for name, values in rises.items()}
            | {name: float(quartiles[name]) for name in ("ratio", "lower_quartile", "upper_quartile")}
        )
    return polars.DataFrame(rows)


def _geometric(logs: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Geometric mean and its 90 % interval."""
    if len(logs) < 2:
        return math.exp(logs.mean()), None, None
    low, high = mean_interval(logs, 0.90)
    return math.exp(logs.mean()), math.exp(low), math.exp(high)
