"""C6: addition: edge directions induce one Fourier mode."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, Line, alone, component, mean
from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.replication.claims.separation import EDGE_NAMES, edge_over_bulk, mean_over_edge

__all__ = ["LINES", "RULE"]

_PUBLISHED = {1: (0.33, 26), 2: (0.16, 26), 3: (0.40, 25), 4: (0.18, 8), 5: (0.12, 26)}
_F = "concentration"

LINES = (
    *(Line("C6", "add", alone(i), _F, "sum", *_PUBLISHED.get(i, (None, None))) for i in EDGE + BULK),
    Line("C6", "add", component(1), _F, "sum", 0.67, 26),
    *(Line("C6", "add", v, _F, "sum") for v in map(component, (2, 3))),
    Line("C6", "add", mean(EDGE), _F, "sum", 0.29),
    Line("C6", "add", mean(BULK), _F, "sum", 0.18),
    *(Line("C6", "add", v, "variance_share", "sum") for v in map(alone, EDGE)),
    *(Line("C6", "add", alone(i), "share:sum", "additive", None, 26 if i == 1 else None, "all") for i in EDGE),
    *(Line("C6", "add", v, "share:difference", "additive", inputs="all") for v in map(alone, EDGE)),
    *(
        Line("C6", "add", v, line, "additive", inputs="all_diagonal_averaged")
        for line in ("share:sum", "share:difference")
        for v in map(alone, EDGE)
    ),
    *(Line("C6", "add", v, "variance_share", "sum") for v in map(component, (1, 2))),
)


def _separation(rows: Rows) -> tuple[bool | None, str]:
    ratio = edge_over_bulk(rows)
    if ratio is None:
        return None, "edge/bulk not measured"
    return ratio >= 1.2, f"edge/bulk mean F {ratio:.2f} (published 1.6; at least 1.2 asked)"


def _sum_or_difference(rows: Rows) -> tuple[None, str]:
    settings = [(inputs, line) for inputs in ("all", "all_diagonal_averaged") for line in ("sum", "difference")]
    shares = [mean_over_edge(rows, "add", f"share:{line}", "additive", inputs) for inputs, line in settings]
    if None in shares:
        return None, "signed spectrum not measured"
    return None, (
        f"signed spectrum of f: {shares[0]:.0%} of its variance on a + b, {shares[1]:.0%} on a − b; with the diagonal "
        f"a = b set to the mean, {shares[2]:.0%} and {shares[3]:.0%}"
    )


RULE = ClaimRule(
    "C6",
    "Addition: edge directions induce one Fourier mode",
    (_F,),
    checkpoint="stop",
    tasks=("add",),
    directions=EDGE_NAMES,
    basis="sum",
    checks=(_separation, _sum_or_difference),
)
