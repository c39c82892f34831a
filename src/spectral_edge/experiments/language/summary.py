"""From rows of seeds to the evidence: means with intervals, and how often what was planted was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_edge.engines import call_all
from spectral_edge.experiments.language.measurement import ARMS, LanguageConfig, measure_seed
from spectral_edge.experiments.language.plants import PLANTS
from spectral_edge.statistics import mean_interval
from spectral_edge.store import StoreError

if TYPE_CHECKING:
    import polars

__all__ = ["SEEDS", "explained_summary", "gather_language", "plant_summary", "reading_summary"]

SEEDS = (2001, 2002, 2003, 2004, 2005, 2006)
"""None of them was trained before the protocol was committed."""

_LEVEL, _INTERVAL = 0.05, 0.90
_FINDS = ("inputs", "isotropic", "weights")
_PLANTED = "planted: "


def gather_language(
    out: Path,
    seeds: Sequence[int],
    config: LanguageConfig,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, polars.DataFrame]:
    """Train and measure every seed, several at a time, and join their tables: ``explained`` and ``readings``.

    Stopped at any moment, the same call continues with the arms that are missing. Both tables are written to ``out``.

    Raises:
        StoreError: a file cannot be written, or a table is missing.
        EngineError: a worker process was killed.
    """
    import polars

    call_all({f"seed {seed}": (measure_seed, out, seed, config) for seed in seeds}, jobs, say)
    found = {}
    for kind in ("explained", "readings"):
        paths = [out / "measured" / f"{seed}.{arm}.{kind}.parquet" for seed in seeds for arm in ARMS]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise StoreError(f"{missing[0]}: is missing; run `spectral-edge experiment language` again")
        found[kind] = polars.concat([polars.read_parquet(path) for path in paths], how="vertical_relaxed")
        found[kind].write_parquet(out / f"{kind}.parquet")
    return found


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
    """Excess of each reading over each null, measured - null mean, by arm and step; mean and 90 % interval."""
    import polars

    excess = readings.with_columns(excess=polars.col("measured") - polars.col("null_mean"))
    return _over_seeds(excess, ["arm", "step", "statistic", "null"], "excess")


def plant_summary(readings: polars.DataFrame) -> polars.DataFrame:
    """How many seeds find each plant, where it was planted and where it was not.

    Found: the reading of v1 has p <= 0.05 against permuted documents, isotropic directions and directions at the same
    angle to the weights, all three. Columns plant, planted, step, found, seeds.
    """
    import polars

    rows = []
    for name in PLANTS:
        own = readings.filter((polars.col("statistic") == _PLANTED + name) & polars.col("null").is_in(list(_FINDS)))
        for (arm, step), part in own.group_by(["arm", "step"], maintain_order=True):
            by_seed = part.group_by("seed").agg((polars.col("pvalue") <= _LEVEL).all().alias("found"))
            rows.append(
                {"plant": name, "planted": arm == name, "step": step, "found": int(by_seed["found"].sum()),
                 "seeds": len(by_seed)}
            )  # fmt: skip
    return polars.DataFrame(rows)
