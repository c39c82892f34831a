"""The claims of a reproduction as the page shows them: verdicts, headline numbers, figures, commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spectral_edge.report import claim_sections
from spectral_edge.serve.library import Library
from spectral_edge.store import Claims, RunMissingError

__all__ = ["claims_file", "claims_view", "figure_path"]


def claims_file(library: Library) -> Path | None:
    """Where the results of a reproduction lie, if the directory served is one's."""
    path = library.root / "claims.json"
    return path if path.is_file() and library.holds(path) else None


def claims_view(library: Library) -> dict[str, Any]:
    """Verdicts with their numbers as text, as in the report.

    Raises:
        RunMissingError: there are no claims.
        StoreError: they are damaged.
    """
    path = claims_file(library)
    if path is None:
        raise RunMissingError(
            f"{library.root.name} has no claims.json; claims are judged by: "
            "spectral-edge reproduce --profile quick --out DIR"
        )
    claims = Claims.read(path)
    figures = _figures(library)
    return {
        "profile": claims.profile,
        "runs": len(claims.runs),
        "numbers": len(claims.rows),
        "claims": [
            {
                "claim": section.verdict.claim,
                "statement": section.verdict.statement,
                "reproduces": section.verdict.reproduces,
                "survives_null": section.verdict.survives_null,
                "because": section.verdict.because,
                "about": section.about,
                "command": section.command,
                "columns": [{"heading": c.heading, "numeric": c.numeric} for c in section.columns],
                "rows": [[column.text(row) for column in section.columns] for row in section.rows],
                "figures": [name for name in figures if name.endswith(f"_{section.verdict.claim}.png")],
            }
            for section in claim_sections(claims)
        ],
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
