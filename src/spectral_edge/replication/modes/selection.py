"""Which lines of the claims are measured on a run: by its operation, its modulus, and how much is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from spectral_edge.bases import grouping
from spectral_edge.replication.claims import LINES
from spectral_edge.replication.claims.c04_shape import shape_lines
from spectral_edge.replication.claims.line import ClaimLine
from spectral_edge.store import Checkpoint

__all__ = ["has_basis", "lines_for"]

_PHASES: tuple[Checkpoint, ...] = ("early", "memorisation", "transition", "stop")


def lines_for(task: str, p: int, phases: Literal["published", "all"] = "published") -> list[ClaimLine]:
    """Everything that is measured on runs of ``task`` modulo ``p``, in the order of the claims.

    With ``phases="all"`` every line stands at the transition and at the stop, and the shape of the responses (C4) also
    early and at memorisation and for every task; a line keeps its published number at the paper's own checkpoint.
    """
    published = [line for line in LINES if line.task == task]
    wanted = published if phases == "published" or not published else _everywhere(task, published)
    return [line for line in wanted if has_basis(line.grouping, p)]


def has_basis(grouping_name: str | None, p: int) -> bool:
    """Whether a basis exists for this modulus: discrete logs need a prime, the Gaussian ones also p = 1 mod 4."""
    bases = {"cross_terms": "discrete_log", "gaussian": "gaussian_radial", "additive": "sum", None: "sum"}
    try:
        grouping(bases.get(grouping_name, grouping_name or "sum"), p)
    except ValueError:
        return False
    return True


def _everywhere(task: str, published: Iterable[ClaimLine]) -> list[ClaimLine]:
    lines = [line for line in published if line.claim != "C4"]
    elsewhere = [replace(line, checkpoint="transition", published=None, upper_bound=False, peak=None) for line in lines]
    shape = [replace(line, checkpoint=phase) for phase in _PHASES for line in shape_lines(task)]
    known = [line for line in published if line.claim == "C4"]
    return [*known, *(line for line in shape if not any(_same(line, k) for k in known)), *lines, *elsewhere]


def _same(left: ClaimLine, right: ClaimLine) -> bool:
    return replace(left, published=None, peak=None) == replace(right, published=None, peak=None)
