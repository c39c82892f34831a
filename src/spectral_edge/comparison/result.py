"""The result of a comparison: each measured value beside the draws of each null; on disk and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, model_validator

from spectral_edge.statistics import NullDistribution, adjust
from spectral_edge.store import Document, Frozen
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure

__all__ = ["Alternative", "Comparison", "NullRow", "load_comparison"]

Alternative = Literal["greater", "less"]

# Draws whose spread is below this share of their size differ by rounding of float32 responses only.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class NullRow:
    """One statistic of one direction, and its values for the draws of one null.

    Attributes:
        direction: from 1; ``None`` for a statistic of the set of all directions.
        statistic, null: names.
        measured: value of the tested direction.
        values: (n,) values of the draws; empty if the comparison was interrupted before the first.
    """

    direction: int | None
    statistic: str
    null: str
    measured: float
    values: NDArray[np.float64] = field(repr=False)

    @property
    def std(self) -> float | None:
        """Standard deviation of the draws (divisor n); ``None`` below two draws."""
        return float(self.values.std()) if len(self.values) > 1 else None

    @property
    def effect(self) -> float | None:
        """(measured - null mean) / null SD; ``None`` where the SD is rounding or there are fewer than two draws."""
        if self.std is None or self.std <= _ROUNDING * np.abs(self.values).max():
            return None
        return float((self.measured - self.values.mean()) / self.std)

    def pvalue(self, alternative: Alternative) -> float | None:
        """(b + 1)/(n + 1), b the draws at least as extreme as the measured value; ``None`` without draws."""
        if not len(self.values):
            return None
        # Draws that differ by rounding only are ties: on which side of the measured value they fall means nothing.
        constant = self.effect is None and len(self.values) > 1
        slack = _ROUNDING * float(np.abs(self.values).max()) if constant else 0.0
        tied = np.where(np.abs(self.values - self.measured) <= slack, self.measured, self.values)
        return NullDistribution(tied, self.null).pvalue(self.measured, alternative)


@dataclass(frozen=True, eq=False)
class Comparison(Tabular):
    """Tested directions held against matched nulls, by one or more statistics; made by :func:`compare`.

    Attributes:
        rows: one a (direction, statistic, null).
        protocol: how it was measured: model, parameters, number of inputs, method, window, centring, draws, seed.
        alternative: whether large ("greater") or small ("less") values speak for the direction.
        complete: False if it was interrupted; rows then have the draws that were done.
        left_out: nulls that could not be had, and why.
        kept: arrays that were to be kept, by name and then by ``"tested"`` or null; a file does not have them.
    """

    rows: tuple[NullRow, ...]
    protocol: dict[str, Any]
    alternative: Alternative = "greater"
    complete: bool = True
    left_out: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        # As a file would give it back: tuples are lists there, and a comparison may be combined with a stored one.
        object.__setattr__(self, "protocol", _as_lists(self.protocol))

    @cached_property
    def table(self) -> polars.DataFrame:
        """One row a (direction, statistic, null); p-values are adjusted within a null (Benjamini and Hochberg)."""
        import polars  # on call: importing the library should not wait for a table package

        pvalues = [row.pvalue(self.alternative) for row in self.rows]
        columns: dict[str, tuple[Any, list[Any]]] = {
            "direction": (polars.Int64, [row.direction for row in self.rows]),
            "statistic": (polars.String, [row.statistic for row in self.rows]),
            "null": (polars.String, [row.null for row in self.rows]),
            "measured": (polars.Float64, [row.measured for row in self.rows]),
            "null_mean": (polars.Float64, [_of(row, np.mean) for row in self.rows]),
            "null_std": (polars.Float64, [row.std for row in self.rows]),
            "null_quantile95": (polars.Float64, [_of(row, lambda v: np.quantile(v, 0.95)) for row in self.rows]),
            "effect": (polars.Float64, [row.effect for row in self.rows]),
            "pvalue": (polars.Float64, pvalues),
            "pvalue_adjusted": (polars.Float64, _adjusted(self.rows, pvalues)),
            "draws": (polars.Int64, [len(row.values) for row in self.rows]),
        }
        return polars.DataFrame({name: polars.Series(values, dtype=kind) for name, (kind, values) in columns.items()})

    def to_polars(self) -> polars.DataFrame:
        """:attr:`table`."""
        return self.table

    def beyond(self, level: float = 0.05) -> polars.DataFrame:
        """Rows of the table whose adjusted p-value is at most ``level``.

        Raises:
            ValueError: ``level`` is out of (0, 1), or below 1/(draws + 1), which no row can reach.
        """
        import polars

        if not 0 < level < 1:
            raise ValueError(f"level = {level} is not between 0 and 1")
        most = max((len(row.values) for row in self.rows), default=0)
        if level < 1 / (most + 1):
            raise ValueError(
                f"level = {level} cannot be reached: with {most} draws the smallest p-value is "
                f"{1 / (most + 1):.3g}; use draws={int(np.ceil(1 / level))} or more"
            )
        return self.table.filter(polars.col("pvalue_adjusted") <= level)

    def plot(self, path: Path | str | None = None) -> Figure:
        """Draw each direction against the bands of each null, one panel a statistic.

        Args:
            path: file to save the figure to (PNG, SVG, PDF), too.
        """
        from spectral_edge.comparison.plot import plot_comparison

        figure = plot_comparison(self)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def whole(self) -> Comparison:
        """Itself, for tables that are not to be stored of some of the draws.

        Raises:
            KeyboardInterrupt: it was interrupted.
        """
        if not self.complete:
            raise KeyboardInterrupt
        return self

    def save(self, path: Path | str) -> None:
        """Write the comparison, draws included, as one JSON file; :func:`load_comparison` reads it.

        Raises:
            StoreError: the disk refuses, or the protocol holds what JSON cannot.
        """
        document = _Document(
            protocol=self.protocol,
            alternative=self.alternative,
            complete=self.complete,
            left_out=self.left_out,
            rows=[
                _Row(
                    direction=row.direction,
                    statistic=row.statistic,
                    null=row.null,
                    measured=row.measured,
                    values=row.values.tolist(),
                )
                for row in self.rows
            ],
        )
        document.write(Path(path))

    def __repr__(self) -> str:
        directions = self.protocol.get("directions", len({row.direction for row in self.rows} - {None}))
        statistics, nulls = (
            list(dict.fromkeys(getattr(row, key) for row in self.rows)) for key in ("statistic", "null")
        )
        draws = max((len(row.values) for row in self.rows), default=0)
        stopped = "" if self.complete else ", interrupted"
        return (
            f"Comparison({directions} directions, {', '.join(statistics)} against {', '.join(nulls)}, "
            f"{draws} draws{stopped})"
        )


def load_comparison(path: Path | str) -> Comparison:
    """Read what :meth:`Comparison.save` wrote.

    Raises:
        RunMissingError: there is no such file.
        RunCorruptError: it is damaged; names the first entry that is wrong.
        SchemaError: another version wrote it.
    """
    document = _Document.read(Path(path))
    rows = tuple(
        NullRow(row.direction, row.statistic, row.null, row.measured, np.array(row.values, dtype=np.float64))
        for row in document.rows
    )
    return Comparison(rows, document.protocol, document.alternative, document.complete, document.left_out)


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def _of(row: NullRow, summary: Any) -> float | None:
    return float(summary(row.values)) if len(row.values) else None


def _adjusted(rows: Sequence[NullRow], pvalues: Sequence[float | None]) -> list[float | None]:
    adjusted: list[float | None] = [None] * len(rows)
    for null in {row.null for row in rows}:
        within = [i for i, row in enumerate(rows) if row.null == null and pvalues[i] is not None]
        for i, value in zip(within, adjust(np.array([pvalues[i] for i in within], dtype=float)), strict=True):
            adjusted[i] = float(value)
    return adjusted


class _Row(Frozen):
    direction: int | None = Field(ge=1, lt=2**31)
    statistic: str
    null: str
    measured: StrictFloat
    values: list[StrictFloat]


class _Document(Document):
    made_by: ClassVar[str] = "Comparison.save writes one."

    kind: Literal["comparison"] = "comparison"
    protocol: dict[str, Any]
    alternative: Alternative
    complete: bool
    left_out: dict[str, str]
    rows: list[_Row]

    @model_validator(mode="after")
    def _each_once(self) -> _Document:
        places = [(row.direction, row.statistic, row.null) for row in self.rows]
        if len(set(places)) < len(places):
            raise ValueError(f"rows: {max(places, key=places.count)} is there twice")
        return self
