"""A page for each claim, written from the committed answers before the site is read; no number is typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from spectral_edge.report import EFFECT_COLUMNS, answers_table, decision_sentence, effect_lines
from spectral_edge.report.formatting import checkpoint_label, grouped_by, inputs_label, mark, statistic_label
from spectral_edge.report.markdown import escape, table
from spectral_edge.store import Answer, Claims, TaskAnswer

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "decision"
"""Where claims.json is."""

_DEFINITIONS = {
    "text": "as the paper's text has it",
    "script": "as the paper's scripts have it",
    "ours": "our definition",
}
_PARTLY = {
    "C4": "The answers are about peakedness; the rank of the response is not asked.",
    "C8": "The answers are about F against nulls; edge and bulk are not compared.",
}
"""What of a statement no question asks."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Write ``claims/`` when a build begins."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "claims"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path, results: Path = RESULTS) -> None:
    """Write ``index.md`` and one page a claim; what an earlier build left there is replaced."""
    claims = Claims.read(results / "claims.json")
    definitions = _definitions((ROOT / "docs" / "definitions.md").read_text(encoding="utf-8"))
    pages = {"index": _index(claims)}
    pages |= {answer.claim: _page(answer, definitions.get(answer.claim, [])) for answer in claims.answers}
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("*.md"):
        if stale.stem not in pages:
            stale.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # an untouched page is not read again
            path.write_text(text, encoding="utf-8")


def _definitions(page: str) -> dict[str, list[list[str]]]:
    """Rows of the page of definitions, by claim: number, text, scripts, ours."""
    found: dict[str, list[list[str]]] = {}
    for line in page.splitlines():
        if re.match(r"\| C\d+ ", line):
            line = line.replace("](protocol.md)", "](../protocol.md)")
            claim, *cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.setdefault(claim, []).append(cells)
    return found


def _index(claims: Claims) -> str:
    names = "\n".join(answer.claim for answer in claims.answers)
    return (
        "# The claims\n\n"
        "A claim gets three answers. **Reproduces**: the published number lies among reruns of its seed. **Exists**: "
        "the effect is larger than in a comparison without such structure, mostly permuted inputs; the claim's page "
        "names it. C9 claims an absence: its *yes* would mean that nothing is above permuted inputs. **Specific**: the "
        "effect is larger than for every kind of matched random direction. A dash: the question is not asked. *Excess* "
        "is the difference from the strongest null, in the direction of the claim: measured − null mean, or the "
        "reverse for claims of a small number. It has a 90 % interval over seeds. *Would repeat* is the answer to "
        "*specific* by the interval alone, and the probability that a new set of as many seeds gives it again. A *yes* "
        "or *no* below 80 % becomes *undecided*.\n\n"
        f"```{{table}}\n:class: headline\n\n{answers_table(claims.answers, link='{}.md')}```\n\n"
        f"{escape(decision_sentence(claims))} [The protocol](../protocol.md) has the rules and margins, "
        "[definitions](../definitions.md) says what is measured, and [what is withdrawn](../withdrawn.md) lists what "
        "earlier versions said.\n\n"
        "![Excess of each claim's number over each null, in units of its margin]"
        "(../../results/decision/figures/forest.png)\n\n"
        "*Each row is one null, in groups of a claim and a task: the mean excess over seeds in units of the margin. "
        "Bold: the strongest null, which decides. Open marks: v₁ without its part along the weights.*\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )


def _page(answer: Answer, definitions: list[list[str]]) -> str:
    answers = (("Reproduces", answer.reproduces), ("Exists", answer.exists), ("Specific", answer.specific))
    parts = [
        f"# {escape(answer.claim)}. {escape(answer.statement)}",
        "## What is true",
        " ".join(f"**{name}:** {_mark(value)}." for name, value in answers),
        f"{escape(answer.because)} {_PARTLY.get(answer.claim, '')}".strip(),
        *_claimed(definitions),
        *_sure(answer),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mark(value: str | None) -> str:
    answer = mark(value)
    return f"{answer.sign} {answer.word}".strip()


def _claimed(definitions: list[list[str]]) -> list[str]:
    if not definitions:
        return []
    headings = ["number", "the paper's text", "its scripts", "ours"]
    return ["## What was claimed", f"```{{table}}\n:class: headline\n\n{table(headings, definitions)}```"]


def _sure(answer: Answer) -> list[str]:
    lines = effect_lines(answer)
    if not lines:
        return []
    rows = [[escape(column.text(line)) for column in EFFECT_COLUMNS] for line in lines]
    headings = [escape(column.heading) for column in EFFECT_COLUMNS]
    return [
        "## How sure",
        "".join(f"* {_measured(task)}\n" for task in answer.tasks).rstrip(),
        f"```{{table}}\n:class: headline\n\n{table(headings, rows)}```",
        "The excess is taken in the direction of the claim: below zero, the null shows more of what is claimed.",
    ]


def _measured(task: TaskAnswer) -> str:
    """What the primary number of a task is, and how still its answer holds."""
    where = [
        "" if task.task == "all" else escape(task.task),
        escape(statistic_label(task.statistic)),
        escape(grouped_by(task.grouping)) if task.grouping else "",
        f"of {'the edge' if task.direction == 'edge' else escape(task.direction)}" if task.direction != "run" else "",
        f"{inputs_label(task.inputs)}, {checkpoint_label(task.checkpoint)}" if task.direction != "run" else "",
        _DEFINITIONS[task.definition],
        f"margin {task.margin:g} {escape(task.unit)}",
    ]
    still = ""
    if task.repeat is not None:
        still = f" A new set of as many seeds would repeat the answer with probability {100 * task.repeat:.0f} %."
    if task.contradictions is not None:
        still += (
            f" Two random halves of the seeds contradict each other in {100 * task.contradictions:.1f} % of splits."
        )
    return f"{', '.join(part for part in where if part)}.{still}"
