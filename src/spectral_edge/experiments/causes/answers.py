"""From tables to answers: one a question and operation, by the rules of docs/causes.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectral_edge.experiments.answer import ExperimentAnswer, beyond_all
from spectral_edge.experiments.causes.protocol import PROTOCOL, CausesProtocol
from spectral_edge.replication.decision import PROTOCOL as RULES
from spectral_edge.replication.decision.rules import combined, decide_bound
from spectral_edge.statistics import mean_interval

if TYPE_CHECKING:
    import polars

__all__ = ["causes_answers", "delays", "delays_table", "loss_ratios"]

Floats = NDArray[np.float64]

_CONTROLS = ("isotropic", "weights", "span", "blocks", "theta")
_DIRECTIONS = ("isotropic", "weights", "span", "blocks")
_ARMS = ("span", "bulk")
_UNMATCHED = "random directions, unmatched"


def causes_answers(
    tables: dict[str, polars.DataFrame], protocol: CausesProtocol = PROTOCOL
) -> dict[str, list[ExperimentAnswer]]:
    """By task, the answers to every question; under ``"all"`` one a question: yes if all are, no if one is."""
    found = {task: list(_of_task(task, tables, protocol)) for task in protocol.operations}
    together = []
    for answers in zip(*found.values(), strict=True):
        parts = [f"{task} {answer.answer}" for task, answer in zip(found, answers, strict=True)]
        weakest = min(answers, key=lambda a: math.inf if a.effect is None else a.effect)
        answer = combined([answer.answer for answer in answers])
        together.append(replace(weakest, answer=answer, because=", ".join(parts)))
    return {"all": together} | found


def _of_task(task: str, tables: dict[str, polars.DataFrame], protocol: CausesProtocol) -> Iterator[ExperimentAnswer]:
    removed = tables["ablation"].filter(task=task, centered=True, is_edge=True, strength=1.0, quantity="log_loss")
    yield beyond_all(
        "removing the edge raises the loss more than a step of its length",
        {null: _excess(removed.filter(null=null)) for null in _CONTROLS},
        protocol.loss_margin,
    )
    steered = tables["steering"].filter(task=task, quantity="own_share")
    yield beyond_all(
        "a step along v1 moves logits at the model's own frequencies more than a matched step",
        {null: _excess(steered.filter(null=null)) for null in _CONTROLS},
        protocol.share_margin,
    )
    bent = tables["bending"].filter(task=task, checkpoint="stop", direction="v1", quantity="log_gauss_newton")
    excess = {null: _excess(bent.filter(null=null)) for null in _DIRECTIONS}
    yield beyond_all("the loss bends more along v1 than along matched directions", excess, protocol.curvature_margin)
    flat = {null: -values for null, values in excess.items()}
    yield beyond_all("the loss bends less along v1 than along matched directions", flat, protocol.curvature_margin)
    yield _same_in_the_metric(tables["metric"].filter(task=task, checkpoint="stop"), protocol)
    arms = tables["training"].filter(task=task)
    of_arm = delays(arms)
    for arm, what in (("edge", "v1"), ("across", "v1 without θ")):
        answer = beyond_all(
            f"taking {what} out of updates delays generalisation more than other directions of the window",
            {other: of_arm[arm] - of_arm[other] for other in _ARMS},
            protocol.delay_margin,
        )
        yield replace(answer, because=answer.because + _unequal(arm, arms))
    for arm, what in (("edge", "v1"), ("edge3", "v1 to v3"), ("across", "v1 without θ"), ("theta", "θ")):
        yield beyond_all(
            f"taking {what} out of updates delays generalisation", {"no change": of_arm[arm]}, protocol.delay_margin
        )


def _unequal(arm: str, arms: polars.DataFrame) -> str:
    """Which controls took out a share of updates that differs from the arm's by more than a factor of 2."""
    import polars

    means = dict(arms.group_by("training_arm").agg(polars.col("removed_share").mean()).iter_rows())
    far = [other for other in _ARMS if abs(math.log(means[other] / means[arm])) > math.log(2)]
    said = ", ".join(f"{other} {100 * means[other]:.2g} %" for other in far)
    return f"; not of one size: {arm} took out {100 * means[arm]:.2g} % of updates, {said}" if far else ""


def _excess(table: polars.DataFrame) -> Floats:
    """Measured - null mean of every seed; of several rows of a seed, their mean."""
    import polars

    own = table.group_by("seed", maintain_order=True).agg(
        (polars.col("measured") - polars.col("null_mean")).mean().alias("excess")
    )
    return own.sort("seed")["excess"].to_numpy()


def _same_in_the_metric(table: polars.DataFrame, protocol: CausesProtocol) -> ExperimentAnswer:
    cosines = table.sort("seed")["cosine"].to_numpy()
    found = decide_bound(1 - cosines, protocol.metric_bound, RULES)
    same = int((table["position_plain"] == table["position_metric"]).sum())
    because = (
        f"mean cosine {cosines.mean():.2f}, bound {1 - protocol.metric_bound:g}; the same k* in {same} of {len(table)}"
    )
    question = "v1 is the same direction in the optimizer's metric"
    return ExperimentAnswer(question, found.answer, found.effect, found.low, found.high, found.n, because)


def delays(training: polars.DataFrame) -> dict[str, Floats]:
    """By arm, log of (stop - begin) over that of the unchanged run, one a seed; its end where an arm never stopped."""
    import polars

    end = polars.coalesce("stop", "last")
    table = training.with_columns(
        delay=((end - polars.col("begin")) / (polars.col("unchanged_stop") - polars.col("begin"))).log()
    )
    return {
        arm: part.sort("seed")["delay"].to_numpy()
        for (arm,), part in table.group_by(["training_arm"], maintain_order=True)
    }


def delays_table(training: polars.DataFrame) -> polars.DataFrame:
    """What each arm took out and what came of it, one row a (task, arm).

    Columns task, training_arm, n, stopped (runs that did), delay (ratio of times to the stop, geometric mean over
    seeds) with its 90 % interval low and high, removed_share and removed_drift (means).
    """
    import polars

    rows = []
    for (task, arm), part in training.group_by(["task", "training_arm"], maintain_order=True):
        (values,) = delays(part).values()
        low, high = mean_interval(values, 0.90)
        rows.append(
            {
                "task": task, "training_arm": arm, "n": len(part), "stopped": int(part["stop"].is_not_null().sum()),
                "delay": math.exp(values.mean()), "low": math.exp(low), "high": math.exp(high),
                "removed_share": part["removed_share"].mean(), "removed_drift": part["removed_drift"].mean(),
            }
        )  # fmt: skip
    return polars.DataFrame(rows)


def loss_ratios(ablation: polars.DataFrame) -> polars.DataFrame:
    """How much more removing the edge raises the loss than each control does: geometric mean over seeds, 90 % interval.

    The ratio of a run is (loss without the edge - loss) / |mean loss of the control - loss|; of removed random
    directions it is what was published. Columns task, null, n, ratio, low, high.
    """
    import polars

    own = ablation.filter(centered=True, is_edge=True, strength=1.0, quantity="loss")
    rows = []
    for (task, null), part in own.sort("seed").group_by(["task", "null"], maintain_order=True):
        more, other = ((part[name] - part["baseline"]).abs().log().to_numpy() for name in ("measured", "null_mean"))
        low, high = mean_interval(more - other, 0.90)
        rows.append(
            {
                "task": task, "null": null, "n": len(part), "ratio": math.exp((more - other).mean()),
                "low": math.exp(low), "high": math.exp(high),
            }
        )  # fmt: skip
    return polars.DataFrame(rows)
