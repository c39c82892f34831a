"""C7: multiplication: one Fourier mode after a discrete logarithm; addition has none there."""

from __future__ import annotations

from spectral_edge.replication.claims.line import BULK, EDGE, Line, alone, component
from spectral_edge.replication.claims.rule import ClaimRule, Rows, at_peak
from spectral_edge.replication.claims.separation import EDGE_NAMES, mean_over_edge

__all__ = ["LINES", "RULE"]

_F = "concentration"

LINES = (
    Line("C7", "mul", alone(1), _F, "output:mul", 0.054),
    *(Line("C7", "mul", v, _F, "output:mul", 0.11, upper_bound=True) for v in map(alone, (2, 3))),
    *(Line("C7", "mul", alone(i), _F, "discrete_log", 0.32 if i == 1 else None, 29) for i in EDGE),
    *(Line("C7", "mul", v, _F, "discrete_log") for v in map(alone, BULK)),
    *(Line("C7", "mul", v, _F, "discrete_log", inputs="test_off_diagonal") for v in map(alone, EDGE)),
    *(Line("C7", "mul", v, _F, "discrete_log") for v in map(component, (1, 2, 3))),
    *(Line("C7", "mul", v, _F, "discrete_log_difference") for v in map(alone, EDGE)),
    *(Line("C7", "mul", v, "variance_share", "discrete_log") for v in (*map(alone, EDGE), *map(component, (1, 2)))),
    *(Line("C7", "mul", v, "share:sum", "discrete_log", inputs="all") for v in map(alone, EDGE)),
    *(Line("C7", "add", v, _F, q) for q in ("sum", "discrete_log") for v in map(alone, EDGE)),
)


def _needs_discrete_log(rows: Rows) -> tuple[bool | None, str]:
    product = mean_over_edge(rows, "mul", _F, "output:mul")
    log = mean_over_edge(rows, "mul", _F, "discrete_log")
    if product is None or log is None:
        return None, "gain of the discrete log not measured"
    return log / product >= 2, f"discrete log over product: mean F x {log / product:.1f} (published 2.7; 2 asked)"


def _addition_does_not(rows: Rows) -> tuple[bool | None, str]:
    by_sum = mean_over_edge(rows, "add", _F, "sum")
    by_log = mean_over_edge(rows, "add", _F, "discrete_log")
    if by_sum is None or by_log is None:
        return None, "control on addition not measured"
    return by_log / by_sum <= 0.5, f"for addition x {by_log / by_sum:.1f} (published 0.2 to 0.3; at most 0.5 asked)"


def _without_squares(rows: Rows) -> tuple[None, str]:
    found = [r for r in rows if r.inputs == "test_off_diagonal"]
    if not found:
        return None, "control without a = b not measured"
    values = ", ".join(f"{r.measured:.2f}{at_peak(r)}" for r in found)
    return None, f"without the pairs a = b, whose products are all squares, F of v1 … v3 is {values}"


RULE = ClaimRule(
    "C7",
    "Multiplication: one Fourier mode after a discrete log",
    (_F,),
    checkpoint="stop",
    tasks=("mul",),
    directions=EDGE_NAMES,
    basis="discrete_log",
    checks=(_needs_discrete_log, _addition_does_not, _without_squares),
)
