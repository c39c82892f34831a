"""The rules of the claims about functional modes: C3, C4, C6 to C9, C13, C14."""

from __future__ import annotations

import numpy as np

from spectral_edge.studies.claim_rules import ClaimRule, Rows, at_peak

__all__ = ["RULES"]

_EDGE = ("v1", "v2", "v3")


def _mean(rows: Rows, task: str, statistic: str, basis: str, inputs: str = "test") -> float | None:
    """Mean over v_1 … v_3, ``None`` if they were not measured."""
    wanted = (task, statistic, basis, inputs)
    found = [r.measured for r in rows if (r.task, r.statistic, r.grouping, r.inputs) == wanted and r.direction in _EDGE]
    return float(np.mean(found)) if len(found) == len(_EDGE) else None


def _edge_over_bulk(rows: Rows) -> float | None:
    means = {r.direction: r.measured for r in rows if r.statistic == "concentration"}
    edge, bulk = means.get("mean(v1..v3)"), means.get("mean(v4..v8)")
    return edge / bulk if edge and bulk else None


def _separation(rows: Rows) -> tuple[bool | None, str]:
    ratio = _edge_over_bulk(rows)
    if ratio is None:
        return None, "edge/bulk not measured"
    return ratio >= 1.2, f"edge/bulk mean F {ratio:.2f} (published 1.6; at least 1.2 asked)"


def _no_separation(rows: Rows) -> tuple[bool | None, str]:
    ratio = _edge_over_bulk(rows)
    if ratio is None:
        return None, "edge/bulk not measured"
    return 1 / 1.5 <= ratio <= 1.5, f"edge/bulk mean F {ratio:.2f} (published 1.0; within a factor 1.5 asked)"


def _sum_or_difference(rows: Rows) -> tuple[None, str]:
    settings = [(inputs, line) for inputs in ("all", "all_diagonal_averaged") for line in ("sum", "difference")]
    shares = [_mean(rows, "add", f"share:{line}", "additive", inputs) for inputs, line in settings]
    if None in shares:
        return None, "signed spectrum not measured"
    return None, (
        f"signed spectrum of f: {shares[0]:.0%} of its variance on a + b, {shares[1]:.0%} on a − b; with the diagonal "
        f"a = b set to the mean, {shares[2]:.0%} and {shares[3]:.0%}"
    )


def _needs_discrete_log(rows: Rows) -> tuple[bool | None, str]:
    product = _mean(rows, "mul", "concentration", "output:mul")
    log = _mean(rows, "mul", "concentration", "discrete_log")
    if product is None or log is None:
        return None, "gain of the discrete log not measured"
    return log / product >= 2, f"discrete log over product: mean F x {log / product:.1f} (published 2.7; 2 asked)"


def _addition_does_not(rows: Rows) -> tuple[bool | None, str]:
    by_sum = _mean(rows, "add", "concentration", "sum")
    by_log = _mean(rows, "add", "concentration", "discrete_log")
    if by_sum is None or by_log is None:
        return None, "control on addition not measured"
    return by_log / by_sum <= 0.5, f"for addition x {by_log / by_sum:.1f} (published 0.2 to 0.3; at most 0.5 asked)"


def _without_squares(rows: Rows) -> tuple[None, str]:
    found = [r for r in rows if r.inputs == "test_off_diagonal"]
    if not found:
        return None, "control without a = b not measured"
    values = ", ".join(f"{r.measured:.2f}{at_peak(r)}" for r in found)
    return None, f"without the pairs a = b, whose products are all squares, F of v1 … v3 is {values}"


def _no_basis(rows: Rows) -> tuple[bool | None, str]:
    measured = [r for r in rows if r.statistic == "concentration"]
    if not measured:
        return None, "concentrations not measured"
    best = max(measured, key=lambda r: r.measured)
    return best.measured <= 0.2, f"largest F {best.measured:.2f} ({best.direction}, {best.grouping}; at most .20 asked)"


def _union_of_peaks(rows: Rows) -> tuple[None, str]:
    overlaps = [r.measured for r in rows if r.statistic == "jaccard"]
    if not overlaps:
        return None, "overlaps not measured"
    return None, f"a mixture's top three overlap those of its components by a Jaccard of {np.mean(overlaps):.2f} (mean)"


def _how_localised(rows: Rows) -> tuple[None, str]:
    found = [row for row in rows if row.statistic == "head_purity" and row.checkpoint == "stop"]
    if not found:
        return None, "head purity not measured"
    largest = max(found, key=lambda row: row.measured)
    others = [null.mean for row in found for null in row.further_nulls if null.kind == "other_phase"]
    beside = f", edges of other phases {np.mean(others):.3f}" if others else ""
    return None, (
        f"mean purity {np.mean([row.measured for row in found]):.3f}, largest {largest.measured:.3f} ({largest.task} "
        f"{largest.direction}); one head has 1, two .5, all eight .125{beside}"
    )


def _first_component(rows: Rows) -> tuple[None, str]:
    found = [row for row in rows if row.statistic == "peakedness" and row.direction == "v1:PC1" and row.task == "add"]
    found = [row for row in found if row.checkpoint == "transition" and row.null is not None]
    if not found:
        return None, "first component not measured"
    values = ", ".join(
        f"{row.measured:.1f}{at_peak(row)} (random {row.null.mean:.1f}, p {row.null.pvalue:.2g})"
        for row in found
        if row.null is not None
    )
    return None, (
        f"the first principal component of the same response has {values}: if the published 32.8 at ω 25 is its "
        "peakedness and not that of the power, compare these"
    )


RULES: tuple[ClaimRule, ...] = (
    ClaimRule(
        "C3",
        "The edge is not localised in attention heads",
        ("head_purity",),
        checkpoint="stop",
        absence=True,
        checks=(_how_localised,),
    ),
    ClaimRule(
        "C4",
        "The response of v1 is sharply peaked over the inputs although high-rank in activation space",
        ("peakedness",),
        tasks=("add",),
        directions=("v1",),
        checkpoint="transition",
        checks=(_first_component,),
    ),
    ClaimRule(
        "C6",
        "Addition: edge directions induce one Fourier mode",
        ("concentration",),
        checkpoint="stop",
        tasks=("add",),
        directions=_EDGE,
        basis="sum",
        checks=(_separation, _sum_or_difference),
    ),
    ClaimRule(
        "C7",
        "Multiplication: one Fourier mode after a discrete log",
        ("concentration",),
        checkpoint="stop",
        tasks=("mul",),
        directions=_EDGE,
        basis="discrete_log",
        checks=(_needs_discrete_log, _addition_does_not, _without_squares),
    ),
    ClaimRule(
        "C8",
        "Subtraction: a small family of modes, no edge/bulk separation",
        ("concentration",),
        checkpoint="stop",
        tasks=("sub",),
        directions=_EDGE,
        basis="difference",
        checks=(_no_separation,),
    ),
    ClaimRule(
        "C9",
        "x²+y²: no single basis makes the modes simple",
        ("concentration",),
        checkpoint="stop",
        tasks=("x2_y2",),
        directions=_EDGE,
        absence=True,
        checks=(_no_basis,),
    ),
    ClaimRule(
        "C13",
        "The spectrum of a mixture is the union of its components' peaks",
        ("jaccard",),
        checkpoint="stop",
        checks=(_union_of_peaks,),
    ),
    ClaimRule(
        "C14",
        "Summary: peak concentration (x²+y²: R²) per task in its own basis",
        ("concentration", "r2"),
        checkpoint="stop",
    ),
)
