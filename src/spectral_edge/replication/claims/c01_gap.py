"""C1: the eigengap g23 declines in runs that grok and in no others."""

from __future__ import annotations

from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.store import ClaimRow

__all__ = ["FACTOR", "GAP_WINDOW", "GROKKED", "OTHER", "PUBLISHED_CONTROL_STRIDE", "RULE", "UNGROKKED"]

GAP_WINDOW = 10
"""W of the published g23 analysis; everything else in the paper has 20."""
FACTOR = 2.0
"""From which a decline counts as one; the paper states none."""
PUBLISHED_CONTROL_STRIDE = 500
OTHER, UNGROKKED, GROKKED = "operations that never grok", "operations that grok, run that did not", "grokked"
"""What a run is called by its outcome."""


def _find(
    rows: Rows, statistic: str, grouping: str, weight_decay: float | None = None, per_step: bool = False
) -> ClaimRow | None:
    """The row of the main setting, or of the same window of per-step updates."""
    found = [r for r in rows if (r.statistic, r.grouping) == (statistic, grouping) and r.window in (GAP_WINDOW, None)]
    found = [
        r for r in found if (r.stride == 1) == per_step and (weight_decay is None or r.weight_decay == weight_decay)
    ]
    return min(found, key=lambda r: r.stride or 0) if found else None


def _only_where_it_groks(rows: Rows) -> tuple[bool | None, str]:
    grokked = _find(rows, "g23_decline:fraction", GROKKED)
    controls = [
        row
        for kind in (UNGROKKED, OTHER)
        for decay in (1.0, 0.0)
        if (row := _find(rows, "g23_decline:fraction", kind, decay)) is not None
    ]
    if grokked is None or not controls:
        return None, "runs that grok and runs that do not are not both there"
    text = ", ".join(f"{r.measured:.0%} of '{r.grouping}' at weight decay {r.weight_decay:g}" for r in controls)
    answer = grokked.measured >= 0.8 and all(row.measured <= 1 / 3 for row in controls)
    return answer, (
        f"at one stride for all, g23 declines by a factor of {FACTOR:g} or more in {grokked.measured:.0%} of the runs "
        f"that grok and {text} (at least 80 % and at most a third asked)"
    )


def _baselines(rows: Rows) -> tuple[None, str]:
    parts = []
    for statistic, what in (("auc", "all runs"), ("auc:same_weight_decay", "runs of equal weight decay")):
        found = [
            f"{row.grouping.removesuffix(':matched')}{' of single steps' if per_step else ''} {row.measured:.2f}"
            for name, per_step in _SHOWN
            if (row := _find(rows, statistic, name, per_step=per_step)) is not None and row.grouping is not None
        ]
        parts += [f"{what}: {', '.join(found)}"] if found else []
    return None, f"AUC at equal steps, {'; '.join(parts)}" if parts else "no AUC without both kinds of runs"


def _beyond_weight_decay(rows: Rows) -> tuple[bool | None, str]:
    """Whether the decline tells runs apart that weight decay does not: by itself, it tells most apart."""
    overall = _find(rows, "auc", "g23_decline:matched")
    decay = _find(rows, "auc", "weight_decay")
    within = _find(rows, "auc:same_weight_decay", "g23_decline:matched")
    if overall is None or decay is None or within is None:
        return None, "the decline could not be compared with weight decay"
    return overall.measured > decay.measured and within.measured > 0.5, (
        f"weight decay alone has an AUC of {decay.measured:.2f} (less than g23's asked), and among runs of one weight "
        f"decay that of g23 is {within.measured:.2f} (above .5 asked)"
    )


_SHOWN = (
    ("g23_decline:matched", False),
    ("update_norm_decline:matched", False),
    ("g23_share_decline:matched", False),
    ("g23_decline:matched", True),
    ("update_norm_decline:matched", True),
    ("g23_rebound:matched", False),
    ("weight_norm_decline:matched", False),
    ("weight_decay", False),
)


def _control_stride(rows: Rows) -> tuple[None, str]:
    found = [
        row
        for row in rows
        if (row.statistic, row.stride, row.weight_decay) == ("g23_decline", PUBLISHED_CONTROL_STRIDE, 0.0)
    ]
    if not found:
        return None, f"controls not measured at their published stride of {PUBLISHED_CONTROL_STRIDE}"
    if all(row.measured == 1 for row in found):
        return None, (
            f"at the published stride of controls, {PUBLISHED_CONTROL_STRIDE}, these runs have one full window, first "
            "and last at once: their decline is 1 by construction and is compared with nothing"
        )
    return None, f"controls at their published stride of {PUBLISHED_CONTROL_STRIDE} are compared with the paper's"


RULE = ClaimRule(
    "C1",
    "The eigengap g23 declines in runs that grok and in no others",
    ("auc",),
    basis="g23_decline:matched",
    among=lambda row: row.window == GAP_WINDOW and row.stride != 1,  # the published setting
    conditions=(_beyond_weight_decay,),
    checks=(_only_where_it_groks, _baselines, _control_stride),
)
