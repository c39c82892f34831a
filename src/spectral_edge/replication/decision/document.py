"""The answers as one document: made from the tables of the decision, and read where a reproduction repeats it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.replication.decision.answers import answers_of, gathered_arms
from spectral_edge.replication.decision.decay import decay_curves, part_effects
from spectral_edge.replication.decision.evidence_rows import evidence_rows
from spectral_edge.replication.decision.protocol import PROTOCOL, Protocol
from spectral_edge.replication.decision.sensitivity import derivative_errors, sensitivity_effects
from spectral_edge.replication.decision.spreads import place, spreads_of
from spectral_edge.replication.decision.stored_answers import stored_answers
from spectral_edge.store import Claims, StoreError, describe_environment

if TYPE_CHECKING:
    import polars

__all__ = ["committed", "decision_claims", "reproduction_claims", "write_claims"]

_NAME = "claims.json"


def decision_claims(kept: Path) -> Claims:
    """The document of the decision: answers, the rows behind them, and the spread of each number over seeds.

    Args:
        kept: folder with one table an arm.

    Raises:
        StoreError: there is no table, or one is damaged or of another protocol.
    """
    begin = time.perf_counter()
    rows, series, settings = (gathered_arms(kept, kind, PROTOCOL) for kind in ("", ".series", ".sensitivity"))
    if rows is None and series is None:
        raise StoreError(f"{kept}: no arm is measured there yet; run `spectral-edge decide --arm seeds` first.")
    return Claims(
        profile="decision",
        protocol=PROTOCOL.digest,
        environment=describe_environment(),
        rows=evidence_rows(rows, series, PROTOCOL),
        answers=stored_answers(answers_of(kept, PROTOCOL), PROTOCOL),
        spreads=[] if rows is None or series is None else spreads_of(rows, series, PROTOCOL),
        curves=[] if series is None else decay_curves(series),
        parts=[] if rows is None else part_effects(rows, PROTOCOL),
        sensitivity=[] if settings is None else sensitivity_effects(settings, PROTOCOL),
        derivative_errors=[] if settings is None else derivative_errors(settings),
        wall_seconds=time.perf_counter() - begin,  # last, when the others are there
    )


def reproduction_claims(
    profile: str,
    rows: polars.DataFrame | None,
    series: polars.DataFrame | None,
    wall_seconds: float,
    decision: Claims,
    protocol: Protocol = PROTOCOL,
    claims: Sequence[str] = tuple(STATEMENTS),
) -> Claims:
    """The document of a reproduction: its own rows, where its numbers lie, and the answers of the decision.

    Args:
        profile: its name.
        rows, series: what was measured of its runs; ``None`` where nothing was.
        wall_seconds: time of the command.
        decision: whose answers are repeated, and among whose runs the numbers are placed.
        protocol: by which the runs were measured; numbers of another protocol are not placed.
        claims: which claims.
    """
    same = decision.protocol == protocol.digest
    return Claims(
        profile=profile,
        protocol=protocol.digest,
        environment=describe_environment(),
        wall_seconds=wall_seconds,
        rows=[row for row in evidence_rows(rows, series, protocol) if row.claim in claims],
        answers=[answer for answer in decision.answers if answer.claim in claims],
        placed=[] if rows is None or series is None or not same else place(rows, series, decision.spreads),
    )


def committed() -> Claims:
    """The decision's document that comes with the library.

    Raises:
        StoreError: it is missing or damaged.
    """
    packed = resources.files("spectral_edge.replication.decision") / _NAME
    in_repository = Path(__file__).parents[4] / "results" / "decision" / _NAME
    return Claims.read(Path(str(packed)) if packed.is_file() else in_repository)


def write_claims(path: Path, claims: Claims) -> Claims:
    """Write the document unless the file already says the same, and return the one that stands there."""
    return claims.write_unless_same(path, set(Claims.model_fields) - {"environment", "wall_seconds"}, indent=None)
