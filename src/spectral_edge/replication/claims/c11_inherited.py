"""C11: on a trunk shared with addition, x² + y² takes over addition's frequency."""

from __future__ import annotations

from spectral_edge.replication.claims.rule import ClaimRule, Rows, at_peak
from spectral_edge.store import ClaimRow

__all__ = ["RULE"]

_TRITASK, _WITH_ADD, _WITH_MUL = "add+mul+x2_y2", "add+x2_y2", "mul+x2_y2"
_OVER_EDGE = "mean(v1..v3)"


def _found(
    rows: Rows, statistic: str, model: str | None, direction: str = _OVER_EDGE, basis: str = "sum"
) -> ClaimRow | None:
    wanted = (statistic, model, direction, basis)
    return next((r for r in rows if (r.statistic, r.model, r.direction, r.grouping) == wanted), None)


def _text(row: ClaimRow | None) -> str:
    if row is None:
        return "not measured"
    interval = "" if row.interval is None else f" [{row.interval.low:.2g}, {row.interval.high:.2g}]"
    null = "" if row.null is None else f", p {row.null.pvalue:.2g}"
    return f"{row.measured:.2g}{interval} (n = {len(row.seeds or [0])}{null})"


def _power_grows(rows: Rows) -> tuple[bool | None, str]:
    row = _found(rows, "power_share_ratio:full_domain", _TRITASK)
    if row is None:
        return None, "growth of power at addition's frequency not measured"
    return row.measured >= 1.5, (
        f"power at addition's frequency, three tasks over x2_y2 alone: x {_text(row)}; published 2.3, 1.5 asked"
    )


def _synergy_grows(rows: Rows) -> tuple[bool | None, str]:
    row = _found(rows, "synergy_gain:full_domain", _TRITASK, basis="both")
    if row is None:
        return None, "growth of synergy not measured"
    return row.measured > 0, f"synergy, three tasks minus x2_y2 alone: {_text(row)}; published .019, above 0 asked"


def _which_partner(rows: Rows) -> tuple[None, str]:
    parts = []
    for reading in ("", ":head_x2_y2"):
        values = ", ".join(
            f"{model} x {_text(_found(rows, 'power_share_ratio:nonzero', model, _OVER_EDGE + reading))}"
            for model in (_WITH_ADD, _WITH_MUL, _TRITASK)
        )
        parts.append(f"power at addition's frequency over x2_y2 alone, {reading[1:] or 'trunk'}: {values}")
    return None, "; ".join(parts)


def _against_chance(rows: Rows) -> tuple[None, str]:
    parts = []
    for reading in ("", ":head_x2_y2"):
        wanted = ("x2_y2", "peak_is_addition:top1", _OVER_EDGE + reading, "sum")
        row = next((r for r in rows if (r.task, r.statistic, r.direction, r.grouping) == wanted), None)
        if row is None or row.null is None:
            return None, "coincidence of peaks not measured"
        parts.append(
            f"{row.measured:.0%} of edge and {row.null.mean:.0%} of random directions peak at addition's frequency in "
            f"the {reading[1:] or 'trunk'} (p {row.null.pvalue:.2g})"
        )
    return None, "; ".join(parts)


def _as_concentration(rows: Rows) -> tuple[None, str]:
    found = [_found(rows, "concentration", model, "v1") for model in (None, _TRITASK)]
    values = " to ".join("not measured" if r is None else f"{r.measured:.2f}{at_peak(r)}" for r in found)
    return None, f"if the published .09 to .20 (ω 17 to 26) are concentrations: v1 by sum has {values}"


def _order(rows: Rows) -> tuple[None, str]:
    steps = [r for r in rows if r.statistic == "grok_step" and r.model == _TRITASK]
    if not steps:
        return None, "order of grokking not measured"
    order = ", ".join(f"{r.task} {r.measured:.0f}" for r in sorted(steps, key=lambda row: row.measured))
    return None, f"tasks generalise in the order {order} (published add 17900, mul 24800, x2_y2 30500)"


def _in_the_task_s_own_head(rows: Rows) -> tuple[bool | None, str]:
    """Whether the logits of x2_y2 respond at addition's frequency: the trunk belongs to addition as well."""
    found = [
        row.null.pvalue
        for row in rows
        if row.statistic == "power_share:addition"
        and row.grouping == "sum"
        and (row.direction or "").endswith(":head_x2_y2")
        and row.null is not None
    ]
    if not found:
        return None, "responses of the head of x2_y2 not measured"
    beyond = sum(pvalue < 0.05 for pvalue in found)
    return 2 * beyond > len(found), (
        f"in the response of x2_y2's own head the share of power at addition's frequency is beyond random directions "
        f"in {beyond} of {len(found)} rows (p < 0.05; most asked)"
    )


RULE = ClaimRule(
    "C11",
    "On a trunk shared with addition, the modes of x²+y² take over addition's frequency",
    ("power_share:addition",),
    tasks=("x2_y2",),
    directions=("v1", "v2", "v3"),
    basis="sum",
    checkpoint="stop",
    conditions=(_in_the_task_s_own_head,),
    checks=(_power_grows, _synergy_grows, _which_partner, _against_chance, _as_concentration, _order),
)
