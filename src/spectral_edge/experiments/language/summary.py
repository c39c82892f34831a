"""From rows of seeds to the evidence: means with intervals, and the protocol's answers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectral_edge.engines import call_all
from spectral_edge.experiments.answer import ExperimentAnswer, beyond_all
from spectral_edge.experiments.language.corpus import code, prose
from spectral_edge.experiments.language.measurement import ARMS, KINDS, LanguageConfig, measure_seed, table_path
from spectral_edge.experiments.language.plants import PLANTS
from spectral_edge.replication.decision.rules import ThreeWay
from spectral_edge.replication.decision.tables import write_frame
from spectral_edge.statistics import mean_interval
from spectral_edge.store import (
    ConfigMismatchError,
    StoreError,
    decode_json,
    encode_json,
    make_folder,
    read_file,
    write_atomically,
)

if TYPE_CHECKING:
    import polars

__all__ = [
    "SEEDS",
    "explained_summary",
    "gather_language",
    "language_answers",
    "plant_summary",
    "reading_summary",
]

SEEDS = (2001, 2002, 2003, 2004, 2005, 2006)
"""None of them was trained before the protocol was committed."""

_LEVEL, _INTERVAL = 0.05, 0.90
_FINDS = ("inputs", "isotropic")
_PLANTED = "planted: "
_LEARNED = 0.7  # nats: twice as likely
_MOST, _FEWEST = 5 / 6, 1 / 6
_DIRECTIONS = ("isotropic", "span", "weights")
_ADDED_AT, _READ_AT = 100, 300  # where windows of the first training end whose rows decide
_ADDED_MARGIN, _READ_MARGIN = 0.02, 0.05


def gather_language(
    out: Path,
    seeds: Sequence[int],
    config: LanguageConfig,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, polars.DataFrame]:
    """Train and measure every seed, several at a time, and join their tables: explained, readings and learned.

    Stopped at any moment, the same call continues with the arms that are missing. All tables are written to ``out``.

    Raises:
        ConfigMismatchError: ``out`` has tables of other sizes or of another text.
        StoreError: a file cannot be written, or a table is missing.
        EngineError: a worker process was killed.
    """
    import polars

    _claim(out / "config.json", config)
    call_all({f"seed {seed}": (measure_seed, out, seed, config) for seed in seeds}, jobs, say)
    found = {}
    for kind in KINDS:
        paths = [table_path(out, seed, arm, kind) for seed in seeds for arm in ARMS]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise StoreError(f"{missing[0]}: is missing; run `spectral-edge experiment language` again")
        tables = [polars.read_parquet(path) for path in paths]
        found[kind] = polars.concat([table for table in tables if len(table)], how="diagonal_relaxed")
        write_frame(out / f"{kind}.parquet", found[kind])
    return found


def _claim(path: Path, config: LanguageConfig) -> None:
    """Write down by which sizes and of which text the tables are; refuse to mix."""
    texts = {"prose": prose().digest, "code": code().digest, "python": platform.python_version()}
    own = {"config": config.model_dump(mode="json"), "text": texts}
    if path.exists():
        there = decode_json(read_file(path), str(path))
        if there != own:
            raise ConfigMismatchError(
                f"{path}: the tables there are of other sizes or another text (Python {platform.python_version()} has "
                "its own). Choose another folder."
            )
        return
    make_folder(path.parent)
    write_atomically(path, encode_json(own, path, indent=1) + b"\n")


def _over_seeds(table: polars.DataFrame, keys: list[str], column: str) -> polars.DataFrame:
    """Mean and interval of a column over seeds, one row a key."""
    import polars

    rows = []
    for key, part in table.group_by(keys, maintain_order=True):
        values = part[column].drop_nulls().to_numpy()
        if len(values) > 1:
            low, high = mean_interval(values, _INTERVAL)
            rows.append(
                dict(zip(keys, key, strict=True)) | {"n": len(values), "mean": values.mean(), "low": low, "high": high}
            )
    return polars.DataFrame(rows)


def explained_summary(explained: polars.DataFrame) -> polars.DataFrame:
    """R² and gains by arm, step, edge and ``by``: mean and 90 % interval over seeds."""
    return _over_seeds(explained, ["arm", "step", "edge", "kind", "by"], "value")


def reading_summary(readings: polars.DataFrame) -> polars.DataFrame:
    """Gain and excess of each reading, measured and measured - null mean; mean and 90 % interval over seeds."""
    import polars

    keys = ["arm", "step", "direction", "statistic"]
    once = readings.filter(polars.col("null").is_null() | (polars.col("null") == "isotropic"))
    gains = _over_seeds(once, keys, "measured").with_columns(null=polars.lit(None, polars.String))
    excess = readings.filter(polars.col("null").is_not_null()).with_columns(
        excess=polars.col("measured") - polars.col("null_mean")
    )
    return polars.concat([gains, _over_seeds(excess, [*keys, "null"], "excess")], how="diagonal_relaxed")


def plant_summary(readings: polars.DataFrame, learned: polars.DataFrame) -> polars.DataFrame:
    """How many seeds find each plant, where it was planted and where it was not, by direction.

    Of each seed, the first window that made the marks twice as likely, or its last; where nothing was planted, the
    window that ends at the same step. Found: the reading has p <= 0.05 against documents exchanged and against
    isotropic directions. ``passes_span`` and ``passes_weights`` count seeds with p <= 0.05 against these. Columns
    plant, planted, direction, seeds, found, passes_span, passes_weights, learned (seeds), gained (nats, mean), measured
    (mean).
    """
    import polars

    rows = []
    for name in PLANTS:
        windows = _windows_of(name, learned)
        own = (
            readings.filter((polars.col("statistic") == _PLANTED + name) & polars.col("null").is_not_null())
            .join(windows, on=["seed", "step"])
            .with_columns(passed=polars.col("pvalue") <= _LEVEL)
        )
        for (arm, direction), part in own.group_by(["arm", "direction"], maintain_order=True):
            by_null = {null: part.filter(null=null).sort("seed")["passed"].to_numpy() for null in set(part["null"])}
            taught = learned.filter(plant=name, arm=arm).join(windows, on=["seed", "step"])
            gained = (taught["log_p_end"] - taught["log_p_begin"]).to_numpy()
            measured = part.filter(null="isotropic")["measured"].to_numpy()
            rows.append(
                {
                    "plant": name, "planted": arm == name, "direction": direction, "seeds": part["seed"].n_unique(),
                    "found": int(np.all([by_null[null] for null in _FINDS], axis=0).sum()),
                    "passes_span": int(by_null["span"].sum()), "passes_weights": int(by_null["weights"].sum()),
                    "learned": int((gained >= _LEARNED).sum()), "gained": float(gained.mean()),
                    "measured": float(measured.mean()),
                }
            )  # fmt: skip
    return polars.DataFrame(rows)


def _windows_of(name: str, learned: polars.DataFrame) -> polars.DataFrame:
    """(seed, step) of the window of each seed in which a plant was learned, or of its last."""
    import polars

    own = learned.filter(plant=name, arm=name).sort("step")
    taught = (polars.col("log_p_end") - polars.col("log_p_begin")) >= _LEARNED
    first = own.filter(taught).group_by("seed").agg(polars.col("step").min())
    last = own.group_by("seed").agg(polars.col("step").max())
    return polars.concat([first, last.join(first, on="seed", how="anti")]).sort("seed")


def language_answers(tables: dict[str, polars.DataFrame]) -> list[ExperimentAnswer]:
    """The protocol's answers (docs/language_evidence.md), one a rule."""
    return [
        _edges_add(tables["explained"]),
        *(_plant_is_found(name, tables["readings"], tables["learned"]) for name in PLANTS),
        *(_more_than_displacement(name, tables["readings"], tables["learned"]) for name in PLANTS),
        _readable(tables["readings"]),
    ]


def _edges_add(explained: polars.DataFrame) -> ExperimentAnswer:
    """Gain of the edge over the displacement, less that of pieces of the path and of random directions of the span."""
    gains = explained.filter(arm="base", step=_ADDED_AT, kind="gain")
    edge = _by_seed(gains.filter(edge="update", by="edge"), "value")
    others = {
        "pieces of the path": _by_seed(gains.filter(edge="pieces", by="edge"), "value"),
        "random directions of the span": _by_seed(gains.filter(edge="update", by="span"), "value"),
    }
    return beyond_all(
        f"edges add to the displacement (step {_ADDED_AT})", {n: edge - v for n, v in others.items()}, _ADDED_MARGIN
    )


def _plant_is_found(name: str, readings: polars.DataFrame, learned: polars.DataFrame) -> ExperimentAnswer:
    table = plant_summary(readings, learned).filter(plant=name, direction="v1")
    where, elsewhere = (table.filter(planted=planted).row(0, named=True) for planted in (True, False))
    n = where["seeds"]
    enough = where["learned"] >= _MOST * n
    answer: ThreeWay = "undecided"
    if enough and where["found"] >= _MOST * n and elsewhere["found"] <= _FEWEST * n:
        answer = "yes"
    elif enough and where["found"] <= _FEWEST * n:
        answer = "no"
    because = (
        f"learned in {where['learned']} of {n} seeds, found in {where['found']} of {n}; where nothing was planted, in "
        f"{elsewhere['found']} of {n}; beyond random directions of the span in {where['passes_span']} of {n}"
    )
    return ExperimentAnswer(f"{name} is found", answer, None, None, None, n, because)


def _more_than_displacement(name: str, readings: polars.DataFrame, learned: polars.DataFrame) -> ExperimentAnswer:
    own = readings.filter(arm=name, statistic=_PLANTED + name, null="isotropic")
    own = own.join(_windows_of(name, learned), on=["seed", "step"])
    v1, displacement = (_by_seed(own.filter(direction=direction), "measured") for direction in ("v1", "displacement"))
    return beyond_all(
        f"v1 shows {name} better than the displacement", {"displacement": v1 - displacement}, _READ_MARGIN
    )


def _readable(readings: polars.DataFrame) -> ExperimentAnswer:
    own = readings.filter(arm="base", step=_READ_AT, direction="v1", statistic="text")
    excess = {
        null: _by_seed(own.filter(null=null), "measured") - _by_seed(own.filter(null=null), "null_mean")
        for null in _DIRECTIONS
    }
    return beyond_all(f"features of the text predict v1 (step {_READ_AT})", excess, _READ_MARGIN)


def _by_seed(table: polars.DataFrame, column: str) -> NDArray[np.float64]:
    return table.sort("seed")[column].to_numpy().astype(np.float64)
