"""C12: directions above the edge serve several tasks and the same inputs, those below do not."""

from __future__ import annotations

from spectral_edge.replication.claims.rule import ClaimRule, Rows
from spectral_edge.store import ClaimRow, Inputs
from spectral_edge.subjects.profiles import TRITASK

__all__ = ["COHERENT_MORE", "RULE", "SHARED_MORE"]

SHARED_MORE, COHERENT_MORE = "mean(v1..v3)-mean(v4..v8)", "within(v1..v3)-within(v4..v8)"
"""The two contrasts of edge and bulk: of sharedness, and of co-usage."""


def _found(rows: Rows, statistic: str, direction: str, inputs: Inputs = "test") -> list[ClaimRow]:
    return [r for r in rows if (r.statistic, r.direction, r.inputs) == (statistic, direction, inputs)]


def _edge_is_shared_more(rows: Rows) -> tuple[bool | None, str]:
    found = [row for row in _found(rows, "sharedness", SHARED_MORE) if row.model == TRITASK]
    if not found:
        return None, "sharedness not measured"
    return found[0].measured > 0, (
        f"sharedness over three tasks, v1 … v3 minus v4 … v8: {found[0].measured:+.2f} (published about +.45; above 0 "
        "asked)"
    )


def _edge_is_coherent(rows: Rows) -> tuple[bool | None, str]:
    found = _found(rows, "co_usage", COHERENT_MORE)
    if not found:
        return None, "co-usage not measured"
    values = ", ".join(f"{row.task} {row.measured:+.2f}" for row in found)
    above = sum(row.measured > 0 for row in found)
    text = f"mean |co-usage| of pairs within v1 … v3 minus within v4 … v8: {values} (most above 0 asked)"
    return 2 * above > len(found), text


def _coherence_of_ranks(rows: Rows) -> tuple[None, str]:
    found = _found(rows, "co_usage_spearman", COHERENT_MORE)
    if not found:
        return None, "co-usage of ranks not measured"
    values = ", ".join(
        f"{row.task} {row.measured:+.2f} (p {row.null.pvalue:.2g})" for row in found if row.null is not None
    )
    return None, f"the same with Spearman's correlation, which no few inputs decide: {values}"


def _random_directions_are_shared(rows: Rows) -> tuple[None, str]:
    found = [row for row in _found(rows, "sharedness", "mean(v1..v3)") if row.model == TRITASK and row.null]
    if not found:
        return None, "sharedness of random directions not measured"
    null = found[0].null
    assert null is not None
    return None, f"random directions of the same model have a sharedness of {null.mean:.2f} ± {null.std:.2f} already"


def _few_inputs(rows: Rows) -> tuple[None, str]:
    found = [row for row in _found(rows, "half_mass_share", "mean(v1..v3)") if row.model in (None, TRITASK)]
    if not found:
        return None, "concentration on few inputs not measured"
    values = ", ".join(f"{row.task}{f' of {row.model}' if row.model else ''} {row.measured:.2%}" for row in found)
    return None, f"half of a direction's usage comes from few held-out inputs: {values}"


RULE = ClaimRule(
    "C12",
    "Directions above the edge serve several tasks and the same inputs, those below do not",
    ("sharedness", "co_usage"),
    directions=(SHARED_MORE, COHERENT_MORE),
    inputs="test",
    checkpoint="stop",
    among=lambda row: row.model in (None, TRITASK),  # the paper's own models
    decided_by="label_permutation",
    checks=(
        _edge_is_shared_more,
        _edge_is_coherent,
        _coherence_of_ranks,
        _random_directions_are_shared,
        _few_inputs,
    ),
)
