"""Tables of measured rows: one file a run while an arm is under way, one file an arm when it is gathered."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from spectral_edge.store import StoreError, write_atomically

if TYPE_CHECKING:
    import polars

__all__ = ["TableProtocol", "gathered", "read_table", "write_frame", "write_table"]


class TableProtocol(BaseModel):
    """The rules by which tables are measured; every row has their digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as parquet under a temporary name, then rename; a file of the same rows is left as it is.

    Raises:
        StoreError: the file cannot be written.
    """
    import polars  # on call: importing the library should not wait for a table package

    write_frame(path, polars.DataFrame(list(rows), infer_schema_length=None))


def write_frame(path: Path, frame: polars.DataFrame) -> None:
    """Write a table as :func:`write_table` does; columns keep their types, also where all values are null.

    Raises:
        StoreError: the file cannot be written.
    """
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        write_atomically(path, buffer.getvalue())


def read_table(path: Path, protocol: TableProtocol) -> polars.DataFrame:
    """Read a table of this protocol; ``version`` is that of the code which measured a row, 1 if the table has none.

    Raises:
        StoreError: there is none, it is damaged, or it was measured by another protocol.
    """
    import polars

    try:
        table = polars.read_parquet(io.BytesIO(path.read_bytes()))
    except (OSError, polars.exceptions.PolarsError) as problem:
        raise StoreError(
            f"{path}: cannot be read: {problem}. Restore the file, or move it away and measure again."
        ) from None
    if "protocol" not in table.columns:
        raise StoreError(f"{path}: has no column 'protocol': it is no table of a protocol; move it away.")
    digests = table["protocol"].unique().to_list()
    if digests != [protocol.digest]:
        raise StoreError(
            f"{path}: was measured by protocol {', '.join(map(str, digests))}, and the protocol in force is "
            f"{protocol.digest}. Rows of two protocols make no table: measure again, or go back to that protocol."
        )
    return table if "version" in table.columns else table.with_columns(version=polars.lit(1))


def gathered(paths: Iterable[Path], protocol: TableProtocol) -> polars.DataFrame:
    """Join tables of runs, in the order given.

    Raises:
        StoreError: as :func:`read_table`; or a run is there twice, which names it.
    """
    import polars

    tables = {path: read_table(path, protocol) for path in paths}
    owners: dict[tuple[str, ...], Path] = {}
    for path, table in tables.items():
        names = [name for name in ("arm", "run_id", "weights_run_id", "statistic") if name in table.columns]
        for key in table.select(names).unique().iter_rows():
            first = owners.setdefault(key, path)
            if first != path:
                raise StoreError(f"{path}: run {key[1]} of arm {key[0]} is in {first}, too; take one of them away.")
    columns = list(next(iter(tables.values())).columns)
    for path, table in tables.items():
        if set(table.columns) != set(columns):
            other = sorted(set(table.columns) ^ set(columns))
            raise StoreError(
                f"{path}: has other columns than the tables beside it: {', '.join(other)}; measure it again."
            )
    return polars.concat([table.select(columns) for table in tables.values()], how="vertical_relaxed")
