"""A page for each claim, written from the committed results before the site is read; no number is typed by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from spectral_edge.report import ClaimSection, claim_sections
from spectral_edge.report.formatting import mark
from spectral_edge.report.markdown import escape, table
from spectral_edge.store import Claims

RESULTS = Path(__file__).parents[2] / "results" / "paper"
"""Where claims.json and figures/ are."""

_CAPTIONS = {
    "claim": "Measured numbers beside their nulls.",
    "gap": "The eigengap over training.",
    "spectra": "Three spectra over training.",
    "sensitivity": "The same numbers over window, stride, centring, step and checkpoint.",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Write ``claims/`` when a build begins."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "claims"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path, results: Path = RESULTS) -> None:
    """Write ``index.md``, one page a claim and the figures of each; what an earlier build left there is replaced."""
    claims = Claims.read(results / "claims.json")
    pages = {"index": _index(claims)}
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for section in claim_sections(claims):
        figures = sorted((results / "figures").glob(f"*_{section.verdict.claim}.png"))
        for figure in figures:
            _copy_if_new(figure, folder / "figures" / figure.name)
        pages[section.verdict.claim] = _page(section, [figure.name for figure in figures])
    for stale in folder.glob("*.md"):
        if stale.stem not in pages:
            stale.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # an untouched page is not read again
            path.write_text(text, encoding="utf-8")


def _copy_if_new(source: Path, target: Path) -> None:
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)


def _index(claims: Claims) -> str:
    names = [verdict.claim for verdict in claims.verdicts]
    rows = [
        [f"[{escape(v.claim)}]({v.claim}.md)", escape(v.statement), _answer(v.reproduces), _answer(v.survives_null)]
        for v in claims.verdicts
    ]
    commit = claims.environment.get("git_commit")
    return (
        "# The claims\n\n"
        "A claim gets two answers. **Reproduces**: the published number comes back within the stated tolerance. "
        "**Survives its null**: the effect exceeds what the matched null gives; for the claim of an absence, nothing "
        "exceeds it. “No” is a result. A dash: not decided.\n\n"
        f"{table(['claim', 'statement', 'reproduces', 'survives its null'], rows)}\n"
        f"From {len(claims.runs)} runs and {len(claims.rows)} numbers of the {escape(claims.profile)} profile"
        f"{f', commit `{commit[:10]}`' if isinstance(commit, str) else ''}. "
        "[Mathematics](../mathematics.md) defines what is measured.\n\n"
        "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
    )


def _answer(value: bool | None) -> str:
    answer = mark(value)
    return f"{answer.sign} {answer.word}".strip()


def _page(section: ClaimSection, figures: list[str]) -> str:
    verdict = section.verdict
    parts = [
        f"# {escape(verdict.claim)}. {escape(verdict.statement)}",
        f"**Reproduces:** {_answer(verdict.reproduces)}. **Survives its null:** {_answer(verdict.survives_null)}.",
        "## Because",
        _because(verdict.because),
        "## Headline numbers",
        _headline(section),
        escape(section.about),
        *_figures(verdict.claim, figures),
    ]
    if section.command is not None:
        parts += ["## Compute it again", f"```\n{section.command}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _because(text: str) -> str:
    """The reasons as a list: they come as one sentence with semicolons."""
    return "\n".join(f"* {escape(reason)}" for reason in re.split(r"; (?![^()]*\))", text))


def _headline(section: ClaimSection) -> str:
    if not section.rows:
        return ""
    rows = [[escape(column.text(row)) for column in section.columns] for row in section.rows]
    headings = [escape(column.heading) for column in section.columns]
    return f"```{{table}}\n:class: headline\n\n{table(headings, rows)}```"


def _figures(claim: str, names: list[str]) -> list[str]:
    parts = ["## Figures"] if names else []
    for name in names:
        caption = _CAPTIONS.get(name.split("_")[0], name)
        parts.append(f"![{claim}: {caption}](figures/{name})\n\n*{caption}*")
    return parts
