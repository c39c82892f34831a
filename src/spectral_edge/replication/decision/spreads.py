"""How numbers of single runs vary over the stored seeds, and where those of new runs lie among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectral_edge.replication.decision.contrasts import agreement, declines, up_to_stop
from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.replication.decision.rules import prediction_interval
from spectral_edge.store import NumberKey, PlacedNumber, Spread
from spectral_edge.subjects import BASIS

if TYPE_CHECKING:
    import polars

__all__ = ["numbers_of", "place", "spreads_of"]

_LOGARITHMIC = ("concentration", "largest concentration of five bases", "stop_step", "sigma_ratio")
_SHARES = ("variance_share", "variance_share:pc1", "head_purity", "cosine_theta", "gradient_share")
_OF_V1 = ("concentration", "largest concentration of five bases", "variance_share", "variance_share:pc1", "head_purity")


def numbers_of(rows: polars.DataFrame, series: polars.DataFrame) -> Iterable[tuple[NumberKey, str, int, float]]:
    """The numbers by which a run of one operation is known, each as (number, run id, seed, value).

    Of v1 at the stop: concentration and variance shares in the operation's basis, head purity, |cos| to the weights,
    gradient share, and how far F exceeds the mean of isotropic directions and of such with v1's cosine to the weights.
    Of the run: step and σ₁/σ₂ at the stop, decline of g23, agreement of the three spectra.
    """
    yield from _of_directions(rows)
    yield from _of_runs(series)


def spreads_of(rows: polars.DataFrame, series: polars.DataFrame, protocol: Protocol) -> list[Spread]:
    """The 95 % prediction interval of each number, from runs that are no copies of each other.

    mean ± t·s·√(1 + 1/n); of logarithms for concentrations, ratios and steps. Of a share the interval ends at 0 and 1.
    """
    import polars

    fresh = (polars.col("arm") == "seeds") & (polars.col("copy") == 0)
    values: dict[NumberKey, list[float]] = {}
    for key, _, _, value in numbers_of(rows.filter(fresh), series.filter(fresh)):
        values.setdefault(key, []).append(value)
    found = []
    for key, numbers in values.items():
        if len(numbers) > 1:
            logs = key.statistic in _LOGARITHMIC
            scaled: NDArray[np.float64] = np.log(numbers) if logs else np.array(numbers)
            ends = np.array([scaled.mean(), *prediction_interval(scaled, protocol.prediction)])
            ends = np.exp(ends) if logs else np.clip(ends, 0, 1) if key.statistic in _SHARES else ends
            mean, low, high = map(float, ends)
            found.append(Spread(**key.model_dump(), n=len(numbers), mean=mean, low=low, high=high, logarithmic=logs))
    return found


def place(rows: polars.DataFrame, series: polars.DataFrame, spreads: Iterable[Spread]) -> list[PlacedNumber]:
    """The numbers of new runs inside the spreads; numbers that have none are left out."""
    known = {
        NumberKey(**{name: getattr(spread, name) for name in NumberKey.model_fields}): spread for spread in spreads
    }
    return [
        PlacedNumber(run=run, seed=seed, measured=value, spread=known[key])
        for key, run, seed, value in numbers_of(rows, series)
        if key in known
    ]


def _of_directions(rows: polars.DataFrame) -> Iterable[tuple[NumberKey, str, int, float]]:
    import polars

    own = rows.filter((polars.col("checkpoint") == "stop") & (polars.col("direction") == "v1"))
    basis = polars.col("task").replace_strict(BASIS, default=None)
    wanted = polars.col("statistic").is_in(_OF_V1) & (polars.col("inputs") != "test")
    wanted &= polars.col("grouping").is_null() | (polars.col("grouping") == basis)
    for line in own.filter(wanted & (polars.col("null") == "isotropic")).iter_rows(named=True):
        names = ("task", "statistic", "grouping", "inputs", "direction")
        key = {name: line[name] for name in names}
        yield NumberKey(**key), line["run_id"], line["seed"], line["measured"]
        if line["statistic"] == "head_purity":
            cosine = NumberKey(task=line["task"], statistic="cosine_theta", direction="v1")
            yield cosine, line["run_id"], line["seed"], abs(line["cosine"])
    of_basis = (
        wanted & (polars.col("statistic") == "concentration") & polars.col("null").is_in(["isotropic", "weights"])
    )
    for line in own.filter(of_basis).iter_rows(named=True):
        key = {name: line[name] for name in ("task", "grouping", "inputs", "direction")}
        excess = NumberKey(**key, statistic=f"concentration beyond {line['null']}")
        yield excess, line["run_id"], line["seed"], line["measured"] - line["null_mean"]


def _of_runs(series: polars.DataFrame) -> Iterable[tuple[NumberKey, str, int, float]]:

    decline = dict(declines(series).select("run_id", "decline").iter_rows())
    for (run_id,), run in up_to_stop(series).group_by("run_id", maintain_order=True):
        last, task, seed = run.tail(1).row(0, named=True), run["task"][0], int(run["seed"][0])
        values = {
            "stop_step": float(last["stop_step"]),
            "sigma_ratio": last["sigma_ratio"],
            "gradient_share": last["gradient_share_v1"],
            "log_g23_decline": decline.get(run_id),
            "signed_rank_correlation": agreement(run),
        }
        for statistic, value in values.items():
            if value is not None and np.isfinite(value):
                yield NumberKey(task=task, statistic=statistic), str(run_id), seed, float(value)
