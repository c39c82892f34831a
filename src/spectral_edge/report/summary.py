"""The abstract of the report: what was measured, on which runs, and where its numbers lie."""

from __future__ import annotations

from spectral_edge.report.formatting import duration, enumeration, number, plural
from spectral_edge.report.placed import placed_sentence
from spectral_edge.report.selection import task_rank
from spectral_edge.store import Claims, Numbers

__all__ = ["computing_time", "decision_sentence", "scope"]


def scope(claims: Claims | None, numbers: Numbers) -> str:
    """Return which runs the report is about, and how many of their numbers lie among the stored ones."""
    tasks = sorted({run.task for run in numbers.runs}, key=task_rank)
    seeds = sorted({run.seed for run in numbers.runs})
    decays = sorted({run.weight_decay for run in numbers.runs}, reverse=True)
    details = [
        f"{'operations' if len(tasks) > 1 else 'operation'} {enumeration(tasks) or 'none'}",
        f"{'seed' if len(seeds) == 1 else 'seeds'} {enumeration([str(seed) for seed in seeds]) or 'none'}",
    ]
    if decays:
        details.append(f"weight decay {enumeration([number(decay) for decay in decays])}")
    begin = "This is" if len(numbers.runs) == 1 else "These are"
    runs = (
        f"{begin} {plural(len(numbers.runs), 'training run')} ({'; '.join(details)}), {numbers.profile} profile, "
        f"computed in {computing_time(numbers)}."
    )
    return f"{runs} {placed_sentence(claims.placed)}" if claims else runs


def decision_sentence(claims: Claims) -> str:
    """Return where the answers come from."""
    planned = max((answer.planned for answer in claims.answers), default=0)
    unfinished = [answer.claim for answer in claims.answers if answer.planned and not answer.final]
    text = (
        f"The answers are those of the decision (protocol {claims.protocol}): up to {planned} independent seeds an "
        "operation, matched nulls, margins fixed beforehand."
    )
    if unfinished:
        text += f" Not all planned seeds are measured for {enumeration(unfinished)}: these answers are not final."
    return text


def computing_time(numbers: Numbers) -> str:
    """Return the time of all processes that trained and analysed, each on one thread, or of the command if unknown.

    A command that was interrupted, or that found runs finished, took less than its results did.
    """
    if not numbers.stage_seconds:
        return duration(numbers.wall_seconds)
    return f"{duration(sum(numbers.stage_seconds.values()))} of single-thread processes"
