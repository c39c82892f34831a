"""The record of a reproduction as Markdown, generated from its claims: no number in it is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spectral_edge.report.formatting import DASH, bounds, duration, measurement, null_label, number, plural
from spectral_edge.report.lines import lines_of
from spectral_edge.report.markdown import code, escape, table, verdicts_table
from spectral_edge.report.sections import HeadlineRow, draws, headline_rows, published, recompute
from spectral_edge.report.summary import computing_time, outcomes, scope
from spectral_edge.store import write_atomically
from spectral_edge.store.results import Claims, NullSummary, RunSummary, Verdict

__all__ = ["findings_id", "findings_markdown", "update_findings"]

_TITLE = "# Findings\n"
_SECTION_ID = re.compile(r"[A-Za-z0-9._-]+")


def findings_id(claims: Claims) -> str:
    """Return the name of these claims' section: the profile and the commit that computed it."""
    commit = claims.environment.get("git_commit")
    name = f"{claims.profile}-{commit[:10]}" if isinstance(commit, str) else claims.profile
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def findings_markdown(claims: Claims, date: str | None = None, command: str | None = None) -> str:
    """Return the record: environment, runs, verdicts, and the headline numbers of every claim.

    Args:
        claims: what is recorded.
        date: heading of the record; by default the environment's own ``date``, and none if it has none.
        command: what computes it again; by default that of the profile.
    """
    stored = claims.environment.get("date")
    date = date if date is not None else (str(stored) if stored is not None else None)
    command = command if command is not None else recompute(claims.profile)
    title = f"{plural(len(claims.runs), 'run')}, {claims.profile} profile"
    blocks = [
        f"## {escape(f'{date}: {title}' if date else title)}\n",
        "\n".join(_header(claims, command)) + "\n",
        f"{escape(scope(claims))}\n",
        "".join(f"* {escape(f'{heading} {text}')}\n" for heading, text in outcomes(claims.verdicts)),
        _runs_table(claims.runs),
        verdicts_table(claims.verdicts, because=False) if claims.verdicts else "",
        *(_claim(verdict, claims) for verdict in claims.verdicts),
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


def _header(claims: Claims, command: str | None) -> list[str]:
    environment = claims.environment
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
    stages = sorted(claims.stage_seconds.items(), key=lambda stage: -stage[1])
    by_stage = f": {', '.join(f'{name} {duration(seconds)}' for name, seconds in stages)}" if stages else ""
    return [*lines, f"* Time: {computing_time(claims)}{by_stage}"]


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


def _claim(verdict: Verdict, claims: Claims) -> str:
    lines = lines_of([row for row in claims.rows if row.claim == verdict.claim])
    rows, shared = headline_rows(lines)
    items = "".join(f"* {_item(row)}\n" for row in rows) or "* No numbers are stored.\n"
    left_out = f"{len(rows)} of {len(lines)} quantities; all are in claims.json." if len(rows) < len(lines) else ""
    notes = " ".join(escape(note) for note in (shared, left_out) if note)
    blocks = [f"### {escape(f'{verdict.claim}: {verdict.statement}')}\n", f"{escape(verdict.because)}\n"]
    return "\n".join([*blocks, *([f"{notes}\n"] if notes else []), items])


def _item(row: HeadlineRow) -> str:
    line, value = row.line, row.line.row
    known = f", 95 % interval {bounds(value.interval.low, value.interval.high)}" if value.interval else ""
    parts = [f"{value.task}, {row.quantity}: {measurement(value.measured)} (n = {line.n_runs}{known})"]
    if line.published is not None:
        parts.append(f"published {published(line)}")
    if line.published_peak is not None:
        parts.append(f"ω {', '.join(map(str, line.peaks)) or DASH} (published {line.published_peak})")
    parts.append("no null" if value.null is None else _null(value.null))
    return escape("; ".join(parts))


def _null(null: NullSummary) -> str:
    adjusted = f", adjusted {measurement(null.pvalue_adjusted)}" if null.pvalue_adjusted is not None else ""
    side = " for smaller values" if null.alternative == "less" else ""
    return (
        f"null of {null_label(null.kind)} ({draws(null.n, null.combined)} draws) {measurement(null.mean)}, 95 % "
        f"{measurement(null.quantile95)}; p = {measurement(null.pvalue)}{adjusted}{side}"
    )
