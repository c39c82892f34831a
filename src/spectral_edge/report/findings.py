"""The record of a reproduction as Markdown, generated from its results: no number in it is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spectral_edge.report.answers import answers_table, outcomes
from spectral_edge.report.formatting import DASH, duration, measurement, number, plural
from spectral_edge.report.markdown import code, escape, table
from spectral_edge.report.sections import recompute
from spectral_edge.report.summary import computing_time, decision_sentence, scope
from spectral_edge.store import Claims, Numbers, RunSummary, write_atomically

__all__ = ["findings_id", "findings_markdown", "update_findings"]

_TITLE = "# Findings\n"
_SECTION_ID = re.compile(r"[A-Za-z0-9._-]+")


def findings_id(numbers: Numbers) -> str:
    """Return the name of these results' section: the profile and the commit that computed it."""
    commit = numbers.environment.get("git_commit")
    name = f"{numbers.profile}-{commit[:10]}" if isinstance(commit, str) else numbers.profile
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def findings_markdown(claims: Claims | None, numbers: Numbers, date: str | None = None) -> str:
    """Return the record: environment, runs, and the answers with their reasons.

    Args:
        claims: the answers; ``None`` where there are none.
        numbers: the runs.
        date: heading of the record, if it is known.
    """
    command = recompute(numbers.profile)
    title = f"{plural(len(numbers.runs), 'run')}, {numbers.profile} profile"
    answers = claims.answers if claims else []
    blocks = [
        f"## {escape(f'{date}: {title}' if date else title)}\n",
        "\n".join(_header(numbers, command)) + "\n",
        f"{escape(scope(claims, numbers))}\n",
        f"{escape(decision_sentence(claims))}\n" if claims else "",
        "".join(f"* {escape(f'{heading} {text}')}\n" for heading, text in outcomes(answers)),
        _runs_table(numbers.runs),
        answers_table(answers) if answers else "",
        "".join(f"* {escape(f'{answer.claim}: {answer.because}')}\n" for answer in answers),
    ]
    return "\n".join(block for block in blocks if block)


def update_findings(path: Path, section_id: str, text: str) -> None:
    """Put ``text`` into the Markdown file at ``path`` as its section ``section_id``, leaving all else as it is.

    A section of that name is replaced where it stands; a new one goes before the first heading of level 2 or generated
    section, so that the newest is on top. Commentary belongs between sections, where nothing touches it.

    Args:
        path: the file, made if missing.
        section_id: letters, digits, dots, dashes and underscores.
        text: Markdown without markers of generated sections.

    Raises:
        ValueError: the name has other characters, the text has a marker, or the file has an unpaired one.
    """
    if not _SECTION_ID.fullmatch(section_id):
        raise ValueError(f"section {section_id!r}: a name is letters, digits, '.', '-' and '_' only")
    begin, end = f"<!-- generated: {section_id} -->", f"<!-- end of generated: {section_id} -->"
    if "<!-- generated: " in text or "<!-- end of generated: " in text:
        raise ValueError(f"section {section_id}: its text holds a marker of a generated section; escape it")
    old = path.read_text(encoding="utf-8") if path.exists() else _TITLE
    if (old.count(begin), old.count(end)) not in ((0, 0), (1, 1)) or old.find(end) < old.find(begin):
        raise ValueError(
            f"{path}: {begin!r} and {end!r} must each stand there once, in this order, or not at all. Restore or "
            "remove both by hand."
        )
    section = f"{begin}\n{text.rstrip()}\n{end}"
    write_atomically(path, _placed(old, begin, end, section).encode())


def _placed(old: str, begin: str, end: str, section: str) -> str:
    if begin in old:
        before, _, rest = old.partition(begin)
        return before + section + rest.partition(end)[2]
    first = re.search(r"^(## |<!-- generated: )", old, re.MULTILINE)
    if first is None:
        return f"{old.rstrip()}\n\n{section}\n"
    return f"{old[: first.start()]}{section}\n\n{old[first.start() :]}"


def _header(numbers: Numbers, command: str | None) -> list[str]:
    environment = numbers.environment
    commit = environment.get("git_commit")
    modified = " with local changes" if environment.get("git_modified") else ""
    machine = [
        f"{name} {environment[key]}" if name else str(environment[key])
        for name, key in (("", "platform"), ("", "cpu"), ("cores:", "cpu_cores"), ("accelerator:", "accelerator"))
        if environment.get(key) is not None
    ]
    versions = [f"{name} {environment[name]}" for name in ("python", "torch", "numpy") if environment.get(name)]
    lines = [f"* Command: {code(command)}"] if command else []
    lines += [f"* Commit: {code(str(commit)) if commit else DASH}{modified if commit else ''}"]
    lines += [f"* Machine: {escape('; '.join(machine)) or DASH}", f"* Versions: {escape(', '.join(versions)) or DASH}"]
    stages = sorted(numbers.stage_seconds.items(), key=lambda stage: -stage[1])
    by_stage = f": {', '.join(f'{name} {duration(seconds)}' for name, seconds in stages)}" if stages else ""
    return [*lines, f"* Time: {computing_time(numbers)}{by_stage}"]


def _runs_table(runs: Sequence[RunSummary]) -> str:
    if not runs:
        return ""
    rows = [
        [
            escape(run.task), str(run.seed), number(run.weight_decay), code(run.run_id), str(run.steps),
            number(run.grok_step), measurement(run.test_accuracy),
            escape(", ".join(f"{name} {step}" for name, step in run.analysed_steps.items())) or DASH,
        ]
        for run in runs
    ]  # fmt: skip
    headings = ["task", "seed", "weight decay", "run", "steps", "grokked at", "test accuracy", "analysed at"]
    return table(headings, rows)
