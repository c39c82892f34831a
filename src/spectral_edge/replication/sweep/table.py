"""One table over all runs of a result directory, with seeds as an axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_edge.replication.sweep.status import RunState, sweep_states
from spectral_edge.statistics import mean_interval
from spectral_edge.store import StoreError, storage_error
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import RunConfig
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["SweepTable", "sweep_table"]

NUMBERS = (
    "steps",
    "grok_step",
    "stop_step",
    "train_accuracy",
    "test_accuracy",
    "train_loss",
    "test_loss",
    "sigma_ratio",
    "seconds",
)
"""What is measured of a run, all at its last evaluation but ``grok_step`` and ``stop_step``."""


@dataclass(frozen=True)
class SweepTable(Tabular):
    """Runs, one a row.

    Attributes:
        rows: for each run ``run_id``, ``state``, every field of its configuration, the numbers of ``NUMBERS``, None
            where it has none (``grok_step`` of a run that never met the stopping rule), and its ``path``.
        skipped: runs that could not be read or have not begun, so that they have no row.
    """

    rows: list[dict[str, Any]] = field(repr=False)
    skipped: list[RunState] = field(repr=False)

    def __repr__(self) -> str:
        finished = sum(row["state"] == "finished" for row in self.rows)
        return f"SweepTable({len(self.rows)} runs, {finished} finished, {len(self.skipped)} skipped)"

    @property
    def axes(self) -> list[str]:
        """The configuration fields in which rows differ; ``operation`` comes first, ``seed`` last, varied or not."""
        if not self.rows:
            return []
        names = [name for name in _config_names() if name not in ("operation", "seed")]
        varied = [name for name in names if len({row[name] for row in self.rows}) > 1]
        return [name for name in ("operation", *varied, "seed") if name in self.rows[0]]

    def over_seeds(self) -> SweepTable:
        """One row a configuration: finished runs that differ in nothing but their seed, taken together.

        Each number is replaced by its mean and by ``<number>_low`` and ``<number>_high``, Student's 95 % interval of
        that mean, None with fewer than two values. A number that some runs lack (a grok step) is that of the others:
        ``runs`` says how many there are, ``finished`` how many count, ``grokked`` how many of these met the stopping
        rule.
        """
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        names = [name for name in _config_names() if name != "seed"]
        for row in self.rows:
            groups.setdefault(tuple(row[name] for name in names), []).append(row)
        return SweepTable([_aggregate(names, rows) for rows in groups.values()], self.skipped)

    def to_polars(self) -> polars.DataFrame:
        """The rows as a frame."""
        import polars  # on call: importing the library should not wait for a table package

        return polars.DataFrame(self.rows, infer_schema_length=None)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a frame, indexed by :attr:`axes`, so that seeds are a level: ``.unstack("seed")``.

        What is missing is ``<NA>``, and steps stay integers.

        Raises:
            ImportError: pandas is not installed.
        """
        frame = super().to_pandas().convert_dtypes()
        return frame.set_index(self.axes).sort_index() if self.rows else frame

    def write(self, path: Path | str) -> None:
        """Write the rows as Parquet or CSV, whichever ``path`` ends in.

        Raises:
            ValueError: it ends in neither.
            StoreError: the disk refuses.
        """
        path = Path(path)
        if path.suffix not in (".parquet", ".csv"):
            raise ValueError(f"{path}: a table is written as .parquet or .csv")
        frame = self.to_polars()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
        except OSError as cause:
            raise storage_error(path, cause) from cause


def sweep_table(root: Path | str) -> SweepTable:
    """Read every run under ``root/runs`` that has been evaluated at least once, by run id.

    Args:
        root: result directory of sweeps, of ``reproduce`` or of ``train``.

    Raises:
        StoreError: ``root`` is no directory.
    """
    rows, skipped = [], []
    for state in sweep_states(Path(root)):
        try:
            rows.append(_row(state))
        except (StoreError, ValueError) as problem:
            skipped.append(replace(state, why=str(problem)))
        except (KeyError, TypeError) as problem:
            skipped.append(
                replace(state, why=f"{state.path / 'metrics.jsonl'}: no evaluations of a training ({problem})")
            )
    return SweepTable(rows, skipped)


def _row(state: RunState) -> dict[str, Any]:
    run = TrainedRun.open(state.path)
    last = run.metrics[-1]
    sigma = last.get("singular_values")
    numbers = {
        "steps": int(last["step"]),
        "grok_step": run.grok_step,
        "stop_step": run.stop_step,
        **{name: last[name] for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss")},
        "sigma_ratio": sigma[0] / sigma[1] if sigma else None,
        "seconds": run.run.status.get("seconds"),
    }
    named = {"run_id": state.run_id, "state": state.state}
    return named | _flat(run.config) | numbers | {"path": str(state.path)}


def _flat(config: RunConfig) -> dict[str, Any]:
    plain = config.model_dump(mode="json")
    return plain.pop("training") | plain


def _config_names() -> list[str]:
    return list(_flat(RunConfig()))


def _aggregate(names: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    finished = [row for row in rows if row["state"] == "finished"]
    counts = {
        "runs": len(rows),
        "finished": len(finished),
        "grokked": sum(row["grok_step"] is not None for row in finished),
    }
    return {name: rows[0][name] for name in names} | counts | dict(_means(finished))


def _means(rows: list[dict[str, Any]]) -> Iterator[tuple[str, float | None]]:
    for name in NUMBERS:
        values = [float(row[name]) for row in rows if row[name] is not None]
        low, high = mean_interval(values) if len(values) > 1 else (None, None)
        yield name, sum(values) / len(values) if values else None
        yield f"{name}_low", low
        yield f"{name}_high", high
