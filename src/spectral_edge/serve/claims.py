"""The claims of a reproduction as the page shows them: answers, effects, further numbers, figures, commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectral_edge.report import (
    EFFECT_COLUMNS,
    ClaimSection,
    Column,
    claim_sections,
    decision_sentence,
    placed_sentence,
)
from spectral_edge.serve.library import Library
from spectral_edge.store import Claims, Numbers, RunMissingError

__all__ = ["claims_file", "claims_view", "figure_path"]

_ABOUT_ALL = ("forest.png", "placed.png")


def claims_file(library: Library) -> Path | None:
    """Where the results of a reproduction lie, if the directory served is one's."""
    path, numbers = library.root / "claims.json", library.root / "numbers.json"
    return path if all(one.is_file() and library.holds(one) for one in (path, numbers)) else None


def claims_view(library: Library) -> dict[str, Any]:
    """Answers with their numbers as text, as in the report.

    Raises:
        RunMissingError: there are no claims.
        StoreError: they are damaged.
    """
    path = claims_file(library)
    if path is None:
        raise RunMissingError(
            f"{library.root.name} holds no answers to the claims. This command writes them: "
            "spectral-edge reproduce --profile quick --out DIR"
        )
    claims = Claims.read(path)
    numbers = Numbers.read(path.with_name("numbers.json"))
    figures = _figures(library)
    return {
        "profile": claims.profile,
        "runs": len(numbers.runs),
        "decision": decision_sentence(claims),
        "placed": placed_sentence(claims.placed),
        "figures": [name for name in _ABOUT_ALL if name in figures],
        "claims": [_section(section, figures) for section in claim_sections(claims, numbers)],
    }


def _section(section: ClaimSection, figures: list[str]) -> dict[str, Any]:
    answer = section.answer
    return {
        "claim": section.claim,
        "statement": section.statement,
        "reproduces": answer and answer.reproduces,
        "exists": answer and answer.exists,
        "specific": answer and answer.specific,
        "because": answer.because if answer else "",
        "effects": _table(EFFECT_COLUMNS, section.effects),
        "numbers": _table(section.columns, section.rows),
        "about": section.about,
        "command": section.command,
        "figures": [name for name in figures if name.endswith(f"_{section.claim}.png")],
    }


def _table(columns: Sequence[Column], rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "columns": [{"heading": column.heading, "numeric": column.numeric} for column in columns],
        "rows": [[column.text(row) for column in columns] for row in rows],
    }


def figure_path(library: Library, name: str) -> Path:
    """A figure of the report; its name is compared, never joined to a path.

    Raises:
        RunMissingError: there is none of that name.
    """
    if name not in _figures(library):
        raise RunMissingError(f"no figure {name!r}; spectral-edge report DIR writes them")
    return library.root / "figures" / name


def _figures(library: Library) -> list[str]:
    found = (library.root / "figures").glob("*.png")
    return sorted(path.name for path in found if path.is_file() and library.holds(path))
