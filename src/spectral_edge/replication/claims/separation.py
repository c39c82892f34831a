"""Numbers that several claims read off their rows: edge over bulk, and the mean over v_1 … v_3."""

from __future__ import annotations

import numpy as np

from spectral_edge.replication.claims.line import BULK, EDGE, alone, mean
from spectral_edge.replication.claims.rule import Rows

__all__ = ["EDGE_NAMES", "edge_over_bulk", "mean_over_edge"]

EDGE_NAMES = tuple(str(v) for v in map(alone, EDGE))


def mean_over_edge(rows: Rows, task: str, statistic: str, basis: str, inputs: str = "test") -> float | None:
    """Mean over v_1 … v_3, ``None`` if they were not measured."""
    wanted = (task, statistic, basis, inputs)
    of_edge = [r for r in rows if r.direction in EDGE_NAMES]
    found = [r.measured for r in of_edge if (r.task, r.statistic, r.grouping, r.inputs) == wanted]
    return float(np.mean(found)) if len(found) == len(EDGE) else None


def edge_over_bulk(rows: Rows) -> float | None:
    """Mean concentration of v_1 … v_3 over that of v_4 … v_8, ``None`` if they were not measured."""
    means = {r.direction: r.measured for r in rows if r.statistic == "concentration"}
    of_edge, of_bulk = means.get(str(mean(EDGE))), means.get(str(mean(BULK)))
    return of_edge / of_bulk if of_edge and of_bulk else None
