"""The claims of a reproduction as the page shows them: verdicts, headline numbers, figures, commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spectral_edge.report import claim_sections
from spectral_edge.store import RunMissingError, read_claims

__all__ = ["claims_file", "claims_view", "figure_path"]


def claims_file(root: Path) -> Path | None:
    """Where the results of a reproduction lie, if ``root`` is one's directory."""
    path = root / "claims.json"
    return path if path.is_file() else None


def claims_view(root: Path) -> dict[str, Any]:
    """Verdicts with their numbers as text, as in the report.

    Raises:
        RunMissingError: there are no claims.
        StoreError: they are damaged.
    """
    path = claims_file(root)
    if path is None:
        raise RunMissingError(
            f"{root}: no claims.json. Claims are judged by: spectral-edge reproduce --profile quick --out DIR"
        )
    claims = read_claims(path)
    figures = _figures(root)
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


def figure_path(root: Path, name: str) -> Path:
    """A figure of the report; its name is compared, never joined to a path.

    Raises:
        RunMissingError: there is none of that name.
    """
    if name not in _figures(root):
        raise RunMissingError(f"no figure {name!r}; spectral-edge report DIR writes them")
    return root / "figures" / name


def _figures(root: Path) -> list[str]:
    folder = root / "figures"
    return sorted(path.name for path in folder.glob("*.png") if path.is_file() and not path.is_symlink())
