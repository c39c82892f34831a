"""What results have in common in a notebook: a table for polars, for pandas, and to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["Tabular"]


class Tabular(ABC):
    """A result with a table; a class gives ``to_polars`` and a ``__repr__`` of one line."""

    @abstractmethod
    def to_polars(self) -> polars.DataFrame:
        """The table."""

    def to_pandas(self) -> pandas.DataFrame:
        """The table for pandas.

        Raises:
            ImportError: pandas is not installed: ``pip install 'spectral-edge[pandas]'``.
        """
        try:
            import pandas
        except ImportError as problem:
            raise ImportError(
                "to_pandas needs pandas: pip install 'spectral-edge[pandas]'; to_polars gives the same for polars"
            ) from problem
        return pandas.DataFrame(self.to_polars().to_dict(as_series=False))

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.to_polars()._repr_html_()}"
